package template

import (
	"slices"
	"strings"
	"unicode/utf16"
)

// node is a literal, a token, or a spintax group of options.
type node struct {
	literal string
	use     *Use
	options [][]node
}

// Use is one token as it stands in a template.
type Use struct {
	// Written is the token in its braces, without a fallback: "{company}".
	Written string
	// Token is its canonical name; empty when no alias names it.
	Token Token
	// Fallback stands in for a missing value, when HasFallback.
	Fallback    string
	HasFallback bool
}

// Messages of spintax problems.
const (
	spintaxOpen   = "Spintax group is not closed (missing ]])"
	spintaxNested = "Spintax nesting is not supported"
	spintaxEmpty  = "Spintax option cannot be empty"
)

// Template is a parsed text. It is immutable.
type Template struct {
	nodes    []node
	problems []Problem
}

// Parse reads a text. It takes every text: what is wrong with it is in Problems.
//
// A token stands in single or double braces, "{firstName}", and may have a fallback after a bar, "{firstName|there}".
// Spintax is "[[one|two]]"; options may hold tokens but no spintax. A backslash before \ | [ ] { or } makes that character
// literal; any other backslash is text. "{}" and braces that never close are text.
func Parse(text string) Template {
	p := parser{text: text}
	p.nodes = p.run(false)
	for _, use := range p.uses {
		if use.Token == "" {
			p.add(Problem{Kind: UnknownToken, Written: use.Written})
		}
	}
	return Template{nodes: p.nodes, problems: p.problems}
}

// Problems are what is wrong with the text whatever the values are: unknown tokens and spintax errors, each once.
func (t Template) Problems() []Problem { return slices.Clone(t.problems) }

// Uses lists the tokens of all options, known or not, in order of appearance, as often as they appear.
func (t Template) Uses() []Use { return uses(t.nodes) }

func uses(nodes []node) []Use {
	var out []Use
	for _, n := range nodes {
		if n.use != nil {
			out = append(out, *n.use)
		}
		for _, option := range n.options {
			out = append(out, uses(option)...)
		}
	}
	return out
}

// Unknown lists the unknown tokens of text as written, each once, in order.
func Unknown(text string) []string {
	var out []string
	for _, problem := range Parse(text).problems {
		if problem.Kind == UnknownToken {
			out = append(out, problem.Written)
		}
	}
	return out
}

// Tokens lists the known tokens of text, each once, in order.
func Tokens(text string) []Token {
	var out []Token
	for _, use := range Parse(text).Uses() {
		if use.Token != "" && !slices.Contains(out, use.Token) {
			out = append(out, use.Token)
		}
	}
	return out
}

type parser struct {
	text     string
	pos      int
	nodes    []node
	uses     []Use
	problems []Problem
}

func (p *parser) add(problem Problem) {
	if !slices.Contains(p.problems, problem) {
		p.problems = append(p.problems, problem)
	}
}

// run reads nodes up to the end of the text, or inside a group up to a bar or the end of the group, which it leaves.
func (p *parser) run(inGroup bool) []node {
	var out []node
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			out = append(out, node{literal: literal.String()})
			literal.Reset()
		}
	}
	for p.pos < len(p.text) {
		rest := p.text[p.pos:]
		switch {
		case len(rest) > 1 && rest[0] == '\\' && strings.IndexByte(`\|[]{}`, rest[1]) >= 0:
			literal.WriteByte(rest[1])
			p.pos += 2
			continue
		case inGroup && (rest[0] == '|' || strings.HasPrefix(rest, "]]")):
			flush()
			return out
		case inGroup && strings.HasPrefix(rest, "[["):
			p.add(Problem{Kind: SpintaxError, Written: spintaxNested})
		case !inGroup && strings.HasPrefix(rest, "[["):
			flush()
			out = append(out, p.group())
			continue
		case rest[0] == '{':
			if use, ok := p.token(); ok {
				flush()
				out = append(out, node{use: &use})
				continue
			}
		}
		literal.WriteByte(rest[0])
		p.pos++
	}
	flush()
	return out
}

// group reads "[[a|b]]" at the position.
func (p *parser) group() node {
	p.pos += 2
	var group node
	for {
		start := p.pos
		option := p.run(true)
		if strings.TrimSpace(p.text[start:p.pos]) == "" && p.pos < len(p.text) {
			p.add(Problem{Kind: SpintaxError, Written: spintaxEmpty})
		}
		group.options = append(group.options, option)
		switch {
		case p.pos >= len(p.text):
			p.add(Problem{Kind: SpintaxError, Written: spintaxOpen})
			return group
		case p.text[p.pos] == '|':
			p.pos++
		default:
			p.pos += len("]]")
			return group
		}
	}
}

// token reads "{...}" or "{{...}}" at the position and reports false for text that is none.
func (p *parser) token() (Use, bool) {
	rest := p.text[p.pos:]
	end := strings.IndexByte(rest, '}')
	if end < 0 || end == 1 { // never closed, or "{}"
		return Use{}, false
	}
	end++
	open, closing := "{", "}"
	if rest[1] == '{' && end > 3 && end < len(rest) && rest[end] == '}' {
		end++
		open, closing = "{{", "}}"
	}
	p.pos += end
	inner, fallback, has := strings.Cut(rest[len(open):end-len(closing)], "|")
	written := open + strings.TrimSpace(inner) + closing
	if !has {
		written = open + inner + closing
	}
	use := Use{Written: written, Token: aliases()[strings.ReplaceAll(written, `\_`, "_")], Fallback: fallback, HasFallback: has}
	p.uses = append(p.uses, use)
	return use, true
}

// choose picks the option of a group: FNV-1a over the UTF-16 code units of "<seed>:<group>", so that rendering again picks
// the same and imported sequences keep their texts.
func choose(seed string, options int) int {
	hash := uint32(2166136261)
	for _, unit := range utf16.Encode([]rune(seed)) {
		hash = (hash ^ uint32(unit)) * 16777619
	}
	return int(hash % uint32(options))
}
