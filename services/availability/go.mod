module github.com/relance/relance/services/availability

go 1.26.0

replace github.com/relance/relance/platform => ../../platform
replace github.com/relance/relance/proto => ../../proto
