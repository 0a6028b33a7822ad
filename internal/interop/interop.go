// Package interop has tests only: our server and client against those of
// Tornado, whose stream interface ours resembles.
package interop
