package webhook_test

import (
	"testing"
)

// BenchmarkParse is what a marketplace webhook of the usual size costs before it is stored.
func BenchmarkParse(b *testing.B) {
	raw := []byte(sms[:len(sms)-1] + `,"webhookId":"0f8fad5b-d9cb-469f-a165-70867728950e","timestamp":"2026-01-01T00:00:00Z"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := market(raw); err != nil {
			b.Fatal(err)
		}
	}
}
