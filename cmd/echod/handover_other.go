//go:build !unix

package main

func (d *echod) watchForHandover() (done <-chan struct{}, stop func()) { return nil, func() {} }

func ready() error { return nil }
