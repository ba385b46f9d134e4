// Command relance is the one binary of Relance: it serves each role, or all of them, and holds the tools of operators.
package main

import (
	"os"

	"github.com/relance/relance/cmd/relance/internal/cli"
	"github.com/relance/relance/platform/process"
)

func main() {
	os.Exit(process.Main(os.Args[1:], os.Stderr, cli.Streams{Out: os.Stdout, Err: os.Stderr}.Run))
}
