module github.com/relance/relance/proto

go 1.26.0

