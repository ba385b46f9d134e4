module github.com/relance/relance/platform

go 1.26.0

