module github.com/relance/relance/e2e

go 1.26.0

require (
	github.com/jackc/pgx/v5 v5.12.0
	github.com/relance/relance/platform v0.0.0
	github.com/relance/relance/proto v0.0.0
	github.com/relance/relance/simulator v0.0.0
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	golang.org/x/net v0.61.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20261104224025-d1e00e9f33ab // indirect
	google.golang.org/grpc v1.85.0 // indirect
)

replace github.com/relance/relance/platform => ../platform

replace github.com/relance/relance/proto => ../proto

replace github.com/relance/relance/simulator => ../simulator
