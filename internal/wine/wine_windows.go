package wine

import "golang.org/x/sys/windows"

// Here reports whether the program runs under wine.
func Here() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}
