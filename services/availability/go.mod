module github.com/relance/relance/services/availability

go 1.26.0

require (
	github.com/google/uuid v1.6.0
	github.com/jackc/pgx/v5 v5.12.0
	github.com/relance/relance/platform v0.0.0
	github.com/relance/relance/proto v0.0.0
	github.com/riverqueue/river v0.51.1
	github.com/riverqueue/river/riverdriver/riverpgxv5 v0.51.1
	golang.org/x/sync v0.24.0
	google.golang.org/grpc v1.85.0
	google.golang.org/protobuf v1.36.12
)

replace github.com/relance/relance/platform => ../../platform

replace github.com/relance/relance/proto => ../../proto
