package optout

import (
	"strings"
	"testing"
)

const quoted = "\n\nOn Mon, Jan 5, 2026 at 3:00 PM Sam <sam@example.com> wrote:\n> Hi Ann,\n> To unsubscribe, reply STOP.\n"

// TestReadMail: an opt-out counts wherever the person wrote it, and nothing of what the mail quotes does.
func TestReadMail(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		mail Mail
		want Kind
	}{
		{"first line", Mail{Body: "Unsubscribe"}, Out},
		{"below a greeting", Mail{Body: "Hello Sam,\n\nplease remove me from your list.\n\nAnn" + quoted}, Out},
		{"over two lines", Mail{Body: "Please take me\noff your list, thank you"}, Out},
		{"a key word further down", Mail{Body: "We found somebody else.\n\nUnsubscribe"}, Unclear},
		{"a sentence further down", Mail{Body: "We found somebody else in the end.\n\nPlease do not contact me again."}, Unclear},
		{"inside markup", Mail{Body: "<div>Hi Sam,</div><div><br></div><div>please <b>unsubscribe</b> me</div>"}, Out},
		{"entities", Mail{Body: "<p>Don&#39;t email me anymore</p>"}, Out},
		{"below the quote", Mail{Body: "On Mon, Jan 5, 2026 Sam <sam@example.com> wrote:\n> Are you free?\n\nStop emailing me."}, Out},
		{"subject alone", Mail{Subject: "UNSUBSCRIBE"}, Out},
		{"subject beside a signature", Mail{Subject: "unsubscribe", Body: "Ann Lee"}, Out},

		{"yes, and our words quoted", Mail{Subject: "Re: Your quote", Body: "Yes, Tuesday works." + quoted}, None},
		{"quote of a long attribution", Mail{Body: "Sure.\n\nOn Mon, Jan 5, 2026 at 3:00 PM Sam Miller at Acme Realty\n<sam@example.com> wrote:\n> reply STOP to opt out"}, None},
		{"quote without marks", Mail{Body: "Sure.\n\nOn Mon, Jan 5, 2026 Sam <sam@example.com> wrote:\nTo unsubscribe, click here"}, None},
		{"Outlook", Mail{Body: "Sure.\n\n________________________________\nFrom: Sam <sam@example.com>\nunsubscribe"}, None},
		{"Gmail", Mail{Body: `<div dir="ltr">Sounds good</div><br><div class="gmail_quote"><div>On Mon Sam wrote:</div><blockquote>Unsubscribe</blockquote></div>`}, None},
		{"style sheet", Mail{Body: "<html><head><style>p { stop: 1 } \n unsubscribe</style></head><body><p>Call me</p></body></html>"}, None},
		{"address in text", Mail{Body: "Write to Ann <ann@example.com> instead, she decides."}, None},
		{"subject that answers", Mail{Subject: "Re: stop", Body: "Yes please"}, None},
		{"signature", Mail{Body: "Yes please\n-- \nAnn\nunsubscribe"}, None},
		{"nothing", Mail{}, None},
	} {
		if got := ReadMail(c.mail); got.Kind != c.want {
			t.Errorf("%s: %+v, want %s", c.name, got, c.want)
		}
	}
}

// TestReadMailOfTheCorpus: as an email's only line, below a greeting and above a quote, each text of the corpus that is an
// opt-out is one.
func TestReadMailOfTheCorpus(t *testing.T) {
	t.Parallel()
	missed, wrong, n := 0, 0, 0
	for _, l := range lines(t) {
		want := Read(l.text).Stops()
		got := ReadMail(Mail{Subject: "Re: Hello", Body: "Hi Sam,\n\n" + l.text + "\n\nAnn" + quoted}).Stops()
		n++
		switch {
		case want && !got:
			missed++
			t.Logf("missed: %q", l.text)
		case got && !want:
			wrong++
			t.Logf("wrong: %q", l.text)
		}
	}
	if missed > 0 || wrong > n/100 {
		t.Errorf("%d missed and %d wrong of %d", missed, wrong, n)
	}
}

func FuzzReadMail(f *testing.F) {
	f.Add("", "<div>Hi</div><blockquote>stop</blockquote>")
	f.Add("stop", strings.Repeat("<", 100))
	f.Fuzz(func(t *testing.T, subject, body string) {
		if v := ReadMail(Mail{subject, body}); v.Kind == "" || v.Rule == "" {
			t.Errorf("%q %q: %+v", subject, body, v)
		}
	})
}
