module github.com/eddyloop/eddy/examples

go 1.26.0

require (
	github.com/coder/websocket v1.8.15
	github.com/eddyloop/eddy v0.1.0
	github.com/gobwas/ws v1.5.0
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/gobwas/httphead v0.1.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
)

replace github.com/eddyloop/eddy => ../
