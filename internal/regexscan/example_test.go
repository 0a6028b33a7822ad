package regexscan_test

import (
	"fmt"
	"regexp"

	"github.com/eddyloop/eddy/internal/regexscan"
)

func Example() {
	blankLine := regexp.MustCompile(`\r?\n\r?\n`)
	scanner := regexscan.For(blankLine).NewScanner()
	var buf []byte
	for _, arrival := range []string{"Name: val", "ue\r\n", "\r", "\nbody"} {
		buf = append(buf, arrival...)
		if end := scanner.Scan(buf); end >= 0 {
			fmt.Printf("%q, then %q\n", buf[:end], buf[end:])
		}
	}
	// Output: "Name: value\r\n\r\n", then "body"
}
