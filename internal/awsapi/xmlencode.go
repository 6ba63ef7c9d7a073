package awsapi

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"reflect"
	"time"
)

// encodeXML writes the answer of a Query operation: the result element, which is
// there whenever the operation has output, and the metadata with the request id.
func encodeXML(svc *Service, operation, requestID string, s *shape, v reflect.Value) ([]byte, error) {
	e := xmlEncoder{member: "member"}
	e.buf.WriteString("<" + operation + `Response xmlns="` + svc.Namespace + `">`)
	if svc.Protocol == EC2 { // no wrapper, the id beside the members (api.md §1.4)
		e.member = "item"
		e.text("requestId", requestID)
		if err := e.members(s, v, 0); err != nil {
			return nil, err
		}
		e.buf.WriteString("</" + operation + "Response>")
		return e.buf.Bytes(), nil
	}
	if len(s.fields) > 0 {
		if err := e.element(operation+"Result", s, v, 0); err != nil {
			return nil, err
		}
	}
	e.buf.WriteString("<ResponseMetadata>")
	e.text("RequestId", requestID)
	e.buf.WriteString("</ResponseMetadata></" + operation + "Response>")
	return e.buf.Bytes(), nil
}

// encodeXMLError writes the error of a Query operation.
func encodeXMLError(namespace, requestID, code, message string, status int) []byte {
	var e xmlEncoder
	blame := "Sender"
	if status >= 500 {
		blame = "Receiver"
	}
	e.buf.WriteString(`<ErrorResponse xmlns="` + namespace + `"><Error>`)
	e.text("Type", blame)
	e.text("Code", code)
	e.text("Message", message)
	e.buf.WriteString("</Error>")
	e.text("RequestId", requestID)
	e.buf.WriteString("</ErrorResponse>")
	return e.buf.Bytes()
}

// encodeEC2Error writes the error of an operation of EC2.
func encodeEC2Error(requestID, code, message string) []byte {
	var e xmlEncoder
	e.buf.WriteString("<Response><Errors><Error>")
	e.text("Code", code)
	e.text("Message", message)
	e.buf.WriteString("</Error></Errors>")
	e.text("RequestID", requestID)
	e.buf.WriteString("</Response>")
	return e.buf.Bytes()
}

type xmlEncoder struct {
	buf    bytes.Buffer
	member string // element of a list's member
}

// element writes a value: lists as <member>s, maps as <entry>s, times as ISO 8601 in
// whole seconds (api.md §1.4).
func (e *xmlEncoder) element(name string, s *shape, v reflect.Value, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("encode %v: nested too deeply", s.typ)
	}
	v = reflect.Indirect(v)
	if !v.IsValid() {
		return fmt.Errorf("encode %v: nil in a list or map", s.typ)
	}
	switch s.kind {
	case kindJSON:
		return fmt.Errorf("type %v has no form in XML", s.typ)
	case kindStruct, kindList, kindMap:
		if s.kind != kindStruct && v.Len() == 0 {
			e.buf.WriteString("<" + name + "/>")
			return nil
		}
		e.buf.WriteString("<" + name + ">")
		if err := e.members(s, v, depth); err != nil {
			return err
		}
		e.buf.WriteString("</" + name + ">")
	case kindBlob:
		e.text(name, base64.StdEncoding.EncodeToString(v.Bytes()))
	case kindTime:
		e.text(name, timeOf(v).UTC().Truncate(time.Second).Format(time.RFC3339))
	default:
		e.text(name, fmt.Sprint(v))
	}
	return nil
}

func (e *xmlEncoder) members(s *shape, v reflect.Value, depth int) error {
	switch s.kind {
	case kindStruct:
		for i := range s.fields {
			f := &s.fields[i]
			if leftOut(f, v.Field(f.index), false) {
				continue
			}
			if err := e.element(f.name, f.shape, v.Field(f.index), depth+1); err != nil {
				return err
			}
		}
	case kindList:
		for i := range v.Len() {
			if err := e.element(e.member, s.elem, v.Index(i), depth+1); err != nil {
				return err
			}
		}
	case kindMap:
		for _, key := range sortedKeys(v) {
			e.buf.WriteString("<entry>")
			e.text("key", key.String())
			if err := e.element("value", s.elem, v.MapIndex(key), depth+1); err != nil {
				return err
			}
			e.buf.WriteString("</entry>")
		}
	}
	return nil
}

// text writes an element with text in it; characters that XML cannot hold become
// U+FFFD.
func (e *xmlEncoder) text(name, text string) {
	e.buf.WriteString("<" + name + ">")
	_ = xml.EscapeText(&e.buf, []byte(text)) // a bytes.Buffer takes everything
	e.buf.WriteString("</" + name + ">")
}
