package edge

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// useStrictQueries installs strictQuery. The library keeps the parser in a variable of its own for all its proxies, so it
// is set once, before the first proxy serves.
var useStrictQueries = sync.OnceFunc(func() { runtime.SetQueryParameterParser(strictQuery{})(nil) })

// strictQuery refuses query parameters that name no field, which the default parser drops without a word: a filter with
// a typing mistake must not answer the unfiltered list.
type strictQuery struct {
	runtime.DefaultQueryParser
}

// Parse fills msg from the query. It fails for parameters that are no field of msg, naming all of them.
func (q strictQuery) Parse(msg proto.Message, values url.Values, filter *utilities.DoubleArray) error {
	var unknown []string
	for key := range values {
		if !names(msg.ProtoReflect().Descriptor(), key) {
			unknown = append(unknown, strconv.Quote(key))
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return fmt.Errorf("unknown query parameters: %s", strings.Join(unknown, ", "))
	}
	return q.DefaultQueryParser.Parse(msg, values, filter)
}

// names tells whether a dotted path, in proto or JSON spelling, leads to a field.
func names(message protoreflect.MessageDescriptor, path string) bool {
	for part := range strings.SplitSeq(path, ".") {
		if message == nil {
			return false
		}
		field := message.Fields().ByName(protoreflect.Name(part))
		if field == nil {
			field = message.Fields().ByJSONName(part)
		}
		if field == nil {
			return false
		}
		message = field.Message()
	}
	return true
}
