// Package unsupported has no code: it tests that every constructor says so
// where there is no backend.
package unsupported
