module github.com/relance/relance/services/followups

go 1.26.0

replace github.com/relance/relance/platform => ../../platform

replace github.com/relance/relance/proto => ../../proto

require (
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	pgregory.net/rapid v1.3.0 // indirect
)
