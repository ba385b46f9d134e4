// Package e2e holds black-box tests of the built relance binary and of the pages that promise something about it.
package e2e
