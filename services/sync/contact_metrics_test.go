package sync_test

import (
	"regexp"
	"strings"
	"testing"
)

// Links are counted by what they came to, and the alert rules name metrics that are served, with labels that these have.
func TestContactLinkMetrics(t *testing.T) {
	page := served(t)
	s := newRig(t, noPolls).stranger("locationLinkMetric01")
	if l, e := s.ended(s.wish()); e != nil || l.GetOrigin() != originCreated {
		t.Fatal(l, e)
	}
	s.eventually("the sweep shows what is open", func() bool { return strings.Contains(page(), `contact_links_open{`) })
	for _, want := range []string{
		`(?m)^contact_link_outcomes_total\{.*how="CREATED".*state="LINKED".*\} [1-9]`, `(?m)^contact_links_open\{.*state="UNKNOWN".*\} \d`,
	} {
		if !regexp.MustCompile(want).MatchString(page()) {
			t.Errorf("no %s in what is served", want)
		}
	}
	rulesServed(t, page(), "contacts.yaml")
}
