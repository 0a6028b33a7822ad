package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The docs' pictures are those that the command draws.
func TestPicturesAreUpToDate(t *testing.T) {
	for name, draw := range pictures {
		got, err := os.ReadFile(filepath.Join("../../docs/pictures", name))
		require.NoError(t, err)
		require.Equal(t, string(draw()), strings.ReplaceAll(string(got), "\r\n", "\n"), "go run ./internal/pictures docs/pictures")
		decoder := xml.NewDecoder(strings.NewReader(string(got)))
		for err == nil {
			_, err = decoder.Token()
		}
		require.True(t, errors.Is(err, io.EOF), "%s: %v", name, err)
	}
}
