// Package optout reads whether a person wants to be left alone. Carriers' key words and free words in English are both
// revocations (47 CFR 64.1200(a)(10): any reasonable manner). It knows no model and no network; corpus.tsv is its measure.
//
// It errs to the side of not writing: what is unclear counts as an opt-out until a person has looked.
package optout

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Kind is what a text asks for.
type Kind string

// Kinds.
const (
	// None: nothing of the sort.
	None Kind = "none"
	// Out: to be left alone, in clear words.
	Out Kind = "out"
	// Unclear: it may be that. Treated as Out, and put before a person.
	Unclear Kind = "unclear"
	// In: to be written to again.
	In Kind = "in"
	// Help: to be told who writes.
	Help Kind = "help"
)

// Verdict is a kind with the rule that found it.
type Verdict struct {
	Kind Kind
	// Rule names the rule, for the record.
	Rule string
}

// Stops reports whether nothing may be sent after it.
func (v Verdict) Stops() bool { return v.Kind == Out || v.Kind == Unclear }

// maxWords bounds what is read: who wants out says so soon.
const maxWords = 400

// keywords are the words that mean it when they are all that is said, or with words of politeness: CTIA's, those of
// 47 CFR 64.1200(a)(10), and the carriers'.
var keywords = map[string]Kind{
	"stop": Out, "stopall": Out, "unsubscribe": Out, "cancel": Out, "end": Out, "quit": Out, "revoke": Out, "optout": Out,
	"opt-out": Out, "unsub": Out, "remove": Out, "arret": Out, "arrêt": Out, "alto": Out, "parar": Out,
	"start": In, "unstop": In, "optin": In, "opt-in": In, "subscribe": In,
	"help": Help, "info": Help,
}

// polite are words that change nothing of what is beside them.
var polite = []string{
	"please", "pls", "plz", "now", "thanks", "thank", "you", "thx", "ty", "ok", "okay", "sir", "just", "all", "it", "this", "me", "hi", "hello",
	"everything", "immediately", "asap", "no", "yes", "i", "said", "the", "to", "reply", "text", "again", "today", "already", "damn",
	"messages", "msgs", "message", "texts", "texting", "out",
}

// rule is a pattern over normal text: lower case, one space between words, a space at both ends, no punctuation.
type rule struct {
	name    string
	kind    Kind
	pattern *regexp.Regexp
}

const (
	// messaging is what we do, in the words of those who do not want it.
	messaging = `(?:text(?:ing|s)?|txt(?:ing|s)?|messag(?:e|es|ing)|msgs?|msging|contact(?:ing)?|call(?:ing|s)?|email(?:ing|s)?|e-mail(?:ing|s)?|mail(?:ing)?|writ(?:e|ing)|spam(?:ming)?|harass(?:ing)?|bother(?:ing)?|bugging|pestering|reach(?:ing)? out|hit(?:ting)? (?:me )?up|follow(?:ing)? up|send(?:ing)?|soliciting|blowing up)`
	not       = `(?:do not|don't|dont|do n't|don t|never|no longer|quit|stop|cease|no more|please no)`
)

// denials sound like an opt-out and are none. They come first.
var denials = []rule{
	{"not-stop", None, re(`(?:don't|dont|do not|never|won't|wont|not) (?:want (?:you )?to |wanna |plan to )?(?:stop|quit|unsubscribe|cancel|opt out)`)},
	{"asks-about-stop", None, re(`(?:how (?:do|can) (?:i|my customers|we) (?:unsubscribe|opt out) (?:from )?(?:a|another|my old|their|other)|(?:do|can) (?:\w+ )?(?:people|customers|clients|users) (?:unsubscribe|opt out))`)},
	{"reminder", None, re(`(?:don't|dont|do not) forget to (?:text|call|email|message|send|contact)`)},
	{"asks-what-it-is", None, re(`is this (?:\w+ )?(?:spam|scam) or `)},
}

// rules are tried in order; the first that matches decides.
var rules = []rule{
	{"stop-messaging", Out, re(not + ` (?:\w+ ){0,3}` + messaging + `(?: |$)(?:\w+ ){0,2}(?:me|us|this|here|my|it|anymore|any more|again|to me)`)},
	{"stop-gerund", Out, re(`(?:stop|quit|cease) (?:with )?(?:the |these |all |your |sending |with |all the |all these )*(?:texting|txting|texts|txts|messaging|messages|msgs|calling|calls|emailing|emails|contacting|contact|spamming|spam|harassing|bothering|bugging|pestering|writing|soliciting|hitting|sending (?:me|us|this|these|those|it))`)},
	{"no-more-messages", Out, re(`no (?:more|further) (?:of )?(?:these |your |the |marketing )*(?:text|txt|message|msg|email|e-mail|call|contact|communication|follow up|spam)(?:s|ing|ings)?`)},
	{"not-contact", Out, re(`(?:do not|don't|dont|don t|never|no longer|not to|stop trying to) (?:ever |please )?(?:contact|text|txt|message|msg|call|email|e-mail|write(?: to)?|spam|bother|solicit) (?:me|us|this|my|again|anymore)`)},
	{"opt-out", Out, re(`(?:opt(?:ing|ed)?[ -]?(?:me |us )?out|optout)(?: |$)`)},
	{"unsubscribe", Out, re(`(?:unsubscribe|unsub|unsuscribe|unsubcribe) (?:me|us|please|pls|now|from|this|my|immediately|asap|i) |(?:please|pls|plz|want to|like to|wish to|wanna|must|to|and|just) (?:unsubscribe|unsub|be unsubscribed)`)},
	{"remove-me", Out, re(`(?:remove|delete|take|drop|scrub|erase|get|pull) (?:me|us|my (?:number|name|info|information|contact|email|phone|phone number|cell)|this number|our number|this email) (?:off|from|out of|of)|(?:remove|delete|erase) (?:me|my (?:number|name|info|information|contact|contact info|phone number|email|data|details)|this number)(?: |$)`)},
	{"lose-number", Out, re(`(?:lose|forget|delete|erase|block) (?:my|this) (?:number|contact|phone|info|email)`)},
	{"list", Out, re(`(?:off|from|of) (?:your|this|the|ur|any) (?:\w+ )?(?:list|lists|database|mailing list|call list|system|contacts)`)},
	{"do-not-list", Out, re(`(?:do not|don't|dont|no) (?:call|contact|text) (?:list|registry)`)},
	{"leave-alone", Out, re(`leave (?:me|us) (?:the \w+ |tf |the hell )?alone`)},
	{"revoke-consent", Out, re(`(?:revok\w+|withdraw\w*|rescind\w*) (?:my |any |all |our )?(?:prior |previous )?(?:consent|permission)`)},
	{"no-consent", Out, re(`(?:did not|didn't|didnt|do not|don't|dont|never|not) (?:give |gave |have )?(?:you )?(?:my )?(?:consent|permission|agree|sign(?:ed)? up|subscribe[d]?|opt(?:ed)? in)`)},
	{"not-receive", Out, re(`(?:don't|dont|do not|no longer|never|not) (?:want|wish|like|care|need)(?: to)? (?:to )?(?:(?:receive|get|be|hear|rec[ie]+ve|see) )?(?:\w+ ){0,3}(?:text|txt|message|msg|email|call|contact|communication|from you|hear from|texted|messaged|contacted|emailed|called|bothered|any more of)`)},
	{"would-rather-not", Out, re(`(?:stop|rather not|prefer not to|please don't|please do not|pls don't|pls dont|please dont) (?:\w+ ){0,2}(?:receive|be contacted|get (?:texts|messages|emails|calls)|hear from|be texted|be messaged)`)},
	{"piss-off", Out, re(`(?:fuck off|f off|f\*\*\* off|piss off|go away|get lost|buzz off|bugger off|screw off|fuck you|f u |fuck u|eff off|kick rocks)`)},
	{"report", Out, re(`(?:report(?:ing|ed)? (?:you|this|as|u)|reported (?:as )?spam|(?:this is|is this|that's|thats) (?:\w+ )?(?:spam|harassment)|file a complaint|(?:call|calling|contact|contacting|talk to) my (?:attorney|lawyer)|my (?:attorney|lawyer) (?:will|is going to) (?:contact|call|sue|be in touch)|tcpa|cease and desist|legal action|sue you)`)},
	{"no-longer-write", Out, re(`(?:end|cancel|terminate|discontinue|cease|stop) (?:all |any |these |this |my |your |further |the )+(?:messag|text|communication|contact|subscription|email|notification|automat|alert|outreach|follow ups?|marketing)`)},
	{"subscription", Out, re(`(?:end|cancel|stop) (?:my |this |the )?subscription`)},
	{"wrong-number-stop", Out, re(`wrong (?:number|person)(?: \w+){0,4} (?:stop|remove|delete|take)`)},
	{"stop-leading-trailing", Out, re(`^ (?:hey |hi |please |pls |plz |just |can you |could you |would you |will you |ok |omg |seriously |for the last time |i said |again |yes |no )*(?:please |pls |just )*stop(?: it| this| that| already| now| asap| please| pls| plz| thanks| thank you| immediately| right now| ffs| all| everything| doing this| anymore)* $`)},
	// The words of the trade beside others: they may mean it.
	{"stop-please", Unclear, re(`(?:please|pls|plz|must|need you to|want you to|asked you to|told you to|tell you to|you to|to just|kindly|you need to) (?:just )?stop(?: |$)(?:by|over|in|at|on|off|for)?`)},
	{"maybe-not-interested", Unclear, re(`(?:not|isn't|isnt|never|no longer) (?:at all |really |remotely |the least bit )?interested(?: |$).*(?:ever|stop|again|remove|quit|anymore|any more|no more|leave)`)},
	{"enough", Unclear, re(`(?:^ (?:enough|give it a rest|knock it off|cut it out|give up|move on|please desist|no means no|not again|get off my phone)(?: already| please| of this| now)* $|enough (?:with|of) (?:this|these|the|your))`)},
	{"too-many", Unclear, re(`(?:too many|way too much|sick of|tired of|fed up with|annoyed by|annoying|enough of) (?:\w+ ){0,3}(?:text|message|msg|email|call|follow up|spam|you|this)`)},
	{"who-gave-number", Unclear, re(`how did you (?:even )?get (?:my|this) (?:number|email|info|contact)`)},
	{"spam", Unclear, re(`(?:^ (?:spam|scam|scammer|spammer|harassment)(?: alert)? $)`)},
	{"block", Unclear, re(`(?:i'll|ill|i will|gonna|going to|have|i've|i am|i'm|im|am) (?:be )?(?:block|blocked|blocking)(?: |$)`)},
	{"wrong-number", Unclear, re(`(?:wrong (?:number|person)|not (?:my|this person's) number|you have the wrong|(?:no one|nobody) (?:here )?by that name|this (?:isn't|isnt|is not) (?:\w+ )?(?:number|phone))`)},
	{"stop-other", Unclear, re(`^ (?:stop|quit|cancel|unsubscribe|revoke|stopall|end) (?:\w+|the \w+|this \w+)?(?: please| pls)?(?: \w+)? $`)},
}

// harmless are objects of "stop", "cancel", "end" and "quit" that are no messages, when the text begins with one.
var harmless = re(`^ (?:please |pls |can you |could you |just |i'll |ill |i will )*(?:(?:stop|stopping|swing) (?:by|in|over|at|on|off|for|here|there|past|before|after|around|and|sign|loss|time|motion|watch|gap|worrying|the clock|the car|the rain)|cancel (?:my|the|our|that|tomorrow|today|tomorrow's|monday|tuesday|wednesday|thursday|friday|it for|for|and re|if|anytime|at)|end (?:of|date|time|game|up|result|user|users|goal|at|is|by)|quit (?:my|smoking|drinking|kidding|claim|when|working|at|the))(?: |$)`)

func re(s string) *regexp.Regexp { return regexp.MustCompile(s) }

// Rejoins reports whether a text is the key word by which a person who opted out asks to be written to again, and nothing
// else. Anything longer is read by people.
func Rejoins(text string) bool {
	words := split(text)
	return len(words) == 1 && keywords[words[0]] == In
}

// Read tells what a text asks for. It is total: any bytes give an answer.
func Read(text string) Verdict {
	words := split(text)
	if len(words) == 0 {
		return Verdict{Kind: None, Rule: "empty"}
	}
	if v, ok := keyword(words); ok {
		return v
	}
	flat := " " + strings.Join(words, " ") + " "
	for _, r := range denials {
		if r.pattern.MatchString(flat) && !stopsAfter(flat, r.pattern) {
			return Verdict{r.kind, r.name}
		}
	}
	calm := harmless.MatchString(flat)
	for _, r := range rules {
		if calm && (r.name == "stop-other" || r.name == "stop-please" || r.name == "no-longer-write") {
			continue
		}
		if r.pattern.MatchString(flat) {
			return Verdict{r.kind, r.name}
		}
	}
	return Verdict{Kind: None, Rule: "nothing"}
}

// stopsAfter reports whether clear words follow a denial: "I don't want to stop, but remove me".
func stopsAfter(flat string, denial *regexp.Regexp) bool {
	rest := flat[denial.FindStringIndex(flat)[1]:]
	return slices.ContainsFunc(rules, func(r rule) bool { return r.kind == Out && r.pattern.MatchString(rest) })
}

// keyword reads a text that is a key word and nothing else of meaning.
func keyword(words []string) (Verdict, bool) {
	var found string
	for i, w := range words {
		kind, isKey := keywords[w]
		switch {
		case isKey && (found == "" || keywords[found] == kind):
			found = w
		case isKey, i > 7, !slices.Contains(polite, w):
			return Verdict{}, false
		}
	}
	if found == "" {
		return Verdict{}, false
	}
	kind := keywords[found]
	if kind != Out && len(words) > 2 {
		return Verdict{}, false
	}
	if slices.Contains([]string{"end", "remove", "cancel", "revoke"}, found) && slices.Contains(words, "no") {
		return Verdict{Unclear, "keyword:" + found}, true
	}
	return Verdict{kind, "keyword:" + found}, true
}

// split gives the words in lower case, with what people use in place of letters and marks put right.
func split(text string) []string {
	text = strings.NewReplacer("’", "'", "‘", "'", "`", "'", "\u200b", "", "\u00ad", "").Replace(text)
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\'' && r != '-' && r != '*' && !unicode.Is(unicode.Mn, r)
	})
	out := words[:0]
	for _, w := range words {
		if w = strings.Trim(w, "'-*"); w != "" && len(out) < maxWords {
			out = append(out, w)
		}
	}
	return joinSpelled(out)
}

// joinSpelled joins letters that stand alone, as in "S T O P".
func joinSpelled(words []string) []string {
	var out []string
	for i := 0; i < len(words); {
		j := i
		for j < len(words) && len(words[j]) == 1 && words[j] >= "a" && words[j] <= "z" {
			j++
		}
		if j-i >= 4 {
			out = append(out, strings.Join(words[i:j], ""))
			i = j
			continue
		}
		out = append(out, words[i])
		i++
	}
	return out
}
