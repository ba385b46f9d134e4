module github.com/relance/relance/simulator

go 1.26.0

replace github.com/relance/relance/platform => ../platform
