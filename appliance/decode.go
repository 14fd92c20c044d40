package main

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"
)

// mismatch is how the TOML package tells of a value of the wrong kind, in the
// words of Go's types.
var mismatch = regexp.MustCompile(`^toml: line (\d+) \(last key "([^"]*)"\): (?:incompatible types|type mismatch)`)

// decodeError says what is wrong with a file, in the words of its keys.
func decodeError(path string, err error) error {
	if m := mismatch.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("%s:%s: %s: want %s", path, m[1], m[2], wanted(m[2]))
	}
	var at toml.ParseError
	if errors.As(err, &at) {
		key := ""
		if at.LastKey != "" {
			key = at.LastKey + ": "
		}
		return fmt.Errorf("%s:%d: %s%s", path, at.Position.Line, key, plainly(at.Message))
	}
	return fmt.Errorf("%s: %w", path, err)
}

// sayings are mistakes that people make, by how the TOML package tells of them.
var sayings = []struct {
	found *regexp.Regexp
	said  string
}{
	{regexp.MustCompile(`^Key '(.*)' has already been defined\.$`), "$1 is there twice; leave one of them out"},
	{regexp.MustCompile(`^Invalid (?:float|integer) value: "(.*)"$`), `$1 is no number; if it is a text, write it in quotes: "$1"`},
	{regexp.MustCompile(`^strings cannot contain newlines$`), "the text does not end on its line; a quote is missing"},
	{regexp.MustCompile(`^expected a comma \(','\) or array terminator \('\]'\), but got .*$`), `the list does not end; a "]" or a comma is missing`},
	{regexp.MustCompile(`^expected '\.' or '=', but got .*$`), `a key is written as key = value; the "=" is missing`},
	{regexp.MustCompile(`^expected value but found .*$`), "the value is missing, or is a text without quotes"},
	{regexp.MustCompile(`^(\S+) is out of range for .*$`), "$1 is too large a number"},
}

func plainly(message string) string {
	for _, s := range sayings {
		if s.found.MatchString(message) {
			return s.found.ReplaceAllString(message, s.said)
		}
	}
	return message
}

// wanted says in words what a key's value is to be.
func wanted(key string) string {
	t := kindOf(reflect.TypeFor[config](), strings.Split(key, "."))
	if t == nil {
		return "another kind of value"
	}
	switch {
	case t == reflect.TypeFor[duration]():
		return `a time in quotes, such as "30s" or "10m"`
	case t.Kind() == reflect.Struct:
		return fmt.Sprintf("a table: [%s] on a line of its own, its keys below it", key)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return fmt.Sprintf("a table for each, in double brackets: [[%s]]", key)
	case t.Kind() == reflect.Slice:
		return `a list of texts, such as ["a", "b"]`
	case t.Kind() == reflect.Bool:
		return "true or false, without quotes"
	case t.Kind() == reflect.String:
		return "a text in quotes"
	}
	return "a whole number, without quotes"
}

// kindOf is the type of a key in a table's, nil where there is none.
func kindOf(t reflect.Type, key []string) reflect.Type {
	for len(key) > 0 {
		if t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return nil
		}
		field, ok := fieldOf(t, key[0])
		if !ok {
			return nil
		}
		t, key = field, key[1:]
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

func fieldOf(t reflect.Type, key string) (reflect.Type, bool) {
	for field := range t.Fields() {
		if field.Anonymous {
			if found, ok := fieldOf(field.Type, key); ok {
				return found, true
			}
		}
		if field.Tag.Get("toml") == key {
			return field.Type, true
		}
	}
	return nil, false
}
