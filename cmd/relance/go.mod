module github.com/relance/relance/cmd/relance

go 1.26.0

replace github.com/relance/relance/platform => ../../platform
replace github.com/relance/relance/proto => ../../proto
replace github.com/relance/relance/services/followups => ../../services/followups
replace github.com/relance/relance/services/availability => ../../services/availability
replace github.com/relance/relance/services/sync => ../../services/sync
replace github.com/relance/relance/gateway => ../../gateway
replace github.com/relance/relance/simulator => ../../simulator
