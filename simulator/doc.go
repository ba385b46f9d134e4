// Package simulator is the outside world on loopback: a HighLevel (GHL) account that
// answers the endpoints Relance uses, refuses what the real one refuses, fails the ways
// networks fail, sends signed webhooks, and writes down every request it received.
//
// The ledger, not the system under test, is the oracle: a test asks the simulator what
// was really accepted and joins that against what Relance believes.
//
// Nothing here talks to the internet. Time is injected, so a test may move it; only the
// delays of faults and of webhook retries are real time.
package simulator
