module github.com/cloud-of-se/tses

go 1.26.0

require (
	github.com/BurntSushi/toml v1.6.0
	github.com/ebfe/scard v0.0.0-20241214075232-7af069cabc25
	github.com/google/go-cmp v0.7.0
	github.com/rogpeppe/go-internal v1.16.0
	golang.org/x/crypto v0.50.0
	golang.org/x/sys v0.48.0
	pgregory.net/rapid v1.3.0
)

require (
	
	golang.org/x/tools v0.26.0 // indirect
	periph.io/x/conn/v3 v3.7.3 // indirect
	periph.io/x/host/v3 v3.8.5 // indirect
)
