package document

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// documentCase is a text and the exact answer to it: a message, or the paths of the
// warnings beside a valid document.
type documentCase struct {
	name, text string
	want       string   // message of InvalidDocumentContent; empty: valid
	warnings   []string // "path parameter"
}

// shell is a Standard_Stream document with these inputs.
func shell(inputs string) string {
	return `{"schemaVersion":"1.0","sessionType":"Standard_Stream","inputs":` + inputs + `}`
}

// port is a Port document with these parameters and properties.
func port(parameters, properties string) string {
	return `{"schemaVersion":"1.0","sessionType":"Port","parameters":` + parameters + `,"properties":` + properties + `}`
}

// declares is a valid document whose parameter p has these members.
func declares(members string) string {
	return port(`{"p":{`+members+`}}`, `{"portNumber":"22"}`)
}

// interactive is an InteractiveCommands document with these parameters and properties.
func interactive(parameters, properties string) string {
	return `{"schemaVersion":"1.0","sessionType":"InteractiveCommands","parameters":` + parameters + `,"properties":` + properties + `}`
}

func nonInteractive(properties string) string {
	return `{"schemaVersion":"1.0","sessionType":"NonInteractiveCommands","properties":` + properties + `}`
}

// pattern is a command document whose parameter has this pattern (as JSON text).
func withPattern(pattern string) string {
	return interactive(`{"p":{"type":"String","allowedPattern":"`+pattern+`"}}`, `{"linux":{"commands":"ls {{ p }}"}}`)
}

const inputKeys = "s3BucketName, s3KeyPrefix, s3EncryptionEnabled, cloudWatchLogGroupName, cloudWatchEncryptionEnabled, cloudWatchStreamingEnabled, kmsKeyId, runAsEnabled, runAsDefaultUser, idleSessionTimeout, maxSessionDuration, shellProfile"

const parameterKeys = "type, description, default, allowedValues, allowedPattern, displayType, minItems, maxItems, minChars, maxChars"

// guide is the sample of the operator's guide (walkthrough.md, story 3).
const guide = `{
  "schemaVersion": "1.0",
  "description": "Document to hold regional settings for Session Manager",
  "sessionType": "Standard_Stream",
  "inputs": {
    "s3BucketName": "ssm-session-manager-bucket",
    "s3KeyPrefix": "SessionManager",
    "s3EncryptionEnabled": false,
    "cloudWatchLogGroupName": "LogGroup-SessionManager",
    "cloudWatchEncryptionEnabled": false,
    "idleSessionTimeout": "",
    "maxSessionDuration": "",
    "cloudWatchStreamingEnabled": false,
    "kmsKeyId": "",
    "runAsEnabled": false,
    "runAsDefaultUser": "",
    "shellProfile": {"windows": "date", "linux": "date"}
  }
}`

func topCases() []documentCase {
	return []documentCase{
		{"guide", guide, "", nil},
		{"empty", ``, "JSON not well-formed. at Line: 1, Column: 1", nil},
		{"spaces", "  \n ", "JSON not well-formed. at Line: 2, Column: 1", nil},
		{"open brace", `{`, "JSON not well-formed. at Line: 1, Column: 1", nil},
		{"null", `null`, "JSON not well-formed. at Line: 1, Column: 1", nil},
		{"list", `[]`, "JSON not well-formed. at Line: 1, Column: 1", nil},
		{"text", `"1.0"`, "JSON not well-formed. at Line: 1, Column: 1", nil},
		{"number", `1`, "JSON not well-formed. at Line: 1, Column: 1", nil},
		{"two objects", `{} {}`, "JSON not well-formed. at Line: 1, Column: 4", nil},
		{"comma at the end", "{\n\"schemaVersion\":\"1.0\",\n}", "JSON not well-formed. at Line: 3, Column: 1", nil},
		{"column counts characters", "{\"description\":\"日本\" x}", "JSON not well-formed. at Line: 1, Column: 21", nil},
		{"comment", "{\n// no\n}", "JSON not well-formed. at Line: 2, Column: 1", nil},
		{"YAML as JSON", "schemaVersion: '1.0'", "JSON not well-formed. at Line: 1, Column: 1", nil},
		{"line break in a text", "{\"description\":\"a\nb\"}", "JSON not well-formed. at Line: 1, Column: 18", nil},
		{"no version", `{"sessionType":"Standard_Stream","inputs":{}}`, "Document schema version is missing.", nil},
		{"empty object", `{}`, "Document schema version is missing.", nil},
		{"null version", `{"schemaVersion":null,"sessionType":"Standard_Stream","inputs":{}}`, "Document schema version is missing.", nil},
		{"other version", `{"schemaVersion":"3.0","sessionType":"Standard_Stream","inputs":{}}`, "Document schema version is invalid. Value: 3.0", nil},
		{"version of commands", `{"schemaVersion":"2.2","mainSteps":[]}`, "Document schema version is invalid. Value: 2.2", nil},
		{"short version", `{"schemaVersion":"1","sessionType":"Standard_Stream","inputs":{}}`, "Document schema version is invalid. Value: 1", nil},
		{"version as a number", `{"schemaVersion":1.0,"sessionType":"Standard_Stream","inputs":{}}`, "", nil},
		{"other version as a number", `{"schemaVersion":2.0,"sessionType":"Standard_Stream","inputs":{}}`, "Document schema version is invalid. Value: 2.0", nil},
		{"whole number as version", `{"schemaVersion":1,"sessionType":"Standard_Stream","inputs":{}}`, "Document schema version is invalid. Value: 1", nil},
		{"version of another type", `{"schemaVersion":["1.0"],"sessionType":"Standard_Stream","inputs":{}}`, "schemaVersion must be a string.", nil},
		{"empty version", `{"schemaVersion":"","sessionType":"Standard_Stream","inputs":{}}`, "Document schema version is invalid. Value: ", nil},
		{"no type", `{"schemaVersion":"1.0","inputs":{}}`, "Missing SessionType in the document.", nil},
		{"lower-case type", `{"schemaVersion":"1.0","sessionType":"standard_stream","inputs":{}}`, "Invalid sessionType", nil},
		{"unknown type", `{"schemaVersion":"1.0","sessionType":"Shell","inputs":{}}`, "Invalid sessionType", nil},
		{"empty type", `{"schemaVersion":"1.0","sessionType":"","inputs":{}}`, "Invalid sessionType", nil},
		{"type as a number", `{"schemaVersion":"1.0","sessionType":1,"inputs":{}}`, "Invalid sessionType", nil},
		{"description as a number", `{"schemaVersion":"1.0","description":1,"sessionType":"Standard_Stream","inputs":{}}`, "description must be a string.", nil},
		{"description with NUL", `{"schemaVersion":"1.0","description":"\u0000","sessionType":"Standard_Stream","inputs":{}}`, "description must not contain NUL characters.", nil},
		{"description in Japanese", `{"schemaVersion":"1.0","description":"設定 😀","sessionType":"Standard_Stream","inputs":{}}`, "", nil},
		{"unknown key", `{"schemaVersion":"1.0","sessionType":"Standard_Stream","inputs":{},"runtimeConfig":{}}`, `Unknown property "runtimeConfig".`, nil},
		{"key of other case", `{"SchemaVersion":"1.0","sessionType":"Standard_Stream","inputs":{}}`, "Document schema version is missing.", nil},
		{"second key of other case", `{"schemaVersion":"1.0","SessionType":"x","sessionType":"Standard_Stream","inputs":{}}`, `Unknown property "SessionType".`, nil},
		{"duplicate key", `{"schemaVersion":"1.0","schemaVersion":"1.0","sessionType":"Standard_Stream","inputs":{}}`, `Duplicate property "schemaVersion".`, nil},
		{"duplicate key written otherwise", `{"schemaVersion":"1.0","\u0073chemaVersion":"1.0"}`, `Duplicate property "schemaVersion".`, nil},
		{"duplicate input", shell(`{"kmsKeyId":"a","kmsKeyId":"b"}`), `Duplicate property "kmsKeyId". At inputs.kmsKeyId.`, nil},
		{"duplicate in a list", interactive(`{"p":{"type":"MapList","default":[{"a":1,"a":2}]}}`, `{"linux":{"commands":"x"}}`), `Duplicate property "a". At parameters.p.default[0].a.`, nil},
		{"too deep", interactive(`{"p":{"type":"MapList","default":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+`}}`, `{}`), "The document is nested more than 32 levels deep.", nil},
		{"no inputs", `{"schemaVersion":"1.0","sessionType":"Standard_Stream"}`, "Missing inputs in session type Standard_Stream document", nil},
		{"null inputs", shell(`null`), "Missing inputs in session type Standard_Stream document", nil},
		{"Port without properties", `{"schemaVersion":"1.0","sessionType":"Port"}`, "Missing Properties in session type Port document", nil},
		{"Port with inputs only", `{"schemaVersion":"1.0","sessionType":"Port","inputs":{}}`, "Missing Properties in session type Port document", nil},
		{"InteractiveCommands without properties", `{"schemaVersion":"1.0","sessionType":"InteractiveCommands"}`, "Missing Properties in session type InteractiveCommands document", nil},
		{"NonInteractiveCommands without properties", `{"schemaVersion":"1.0","sessionType":"NonInteractiveCommands"}`, "Missing Properties in session type NonInteractiveCommands document", nil},
		{"properties of a shell", `{"schemaVersion":"1.0","sessionType":"Standard_Stream","inputs":{},"properties":{"x":"{{ y }}"}}`, "", []string{"properties "}},
		{"properties of a shell not a map", `{"schemaVersion":"1.0","sessionType":"Standard_Stream","inputs":{},"properties":[]}`, "properties must be a map.", nil},
	}
}

func inputCases() []documentCase {
	return []documentCase{
		{"none", shell(`{}`), "", nil},
		{"not a map", shell(`[]`), "inputs must be a map.", nil},
		{"text for a map", shell(`""`), "inputs must be a map.", nil},
		{"unknown", shell(`{"idle":"1"}`), `Unknown property "idle". At inputs.idle; allowed: ` + inputKeys + ".", nil},
		{"key of other case", shell(`{"KmsKeyId":""}`), `Unknown property "KmsKeyId". At inputs.KmsKeyId; allowed: ` + inputKeys + ".", nil},
		{"as the console writes it", shell(`{"s3BucketName":"","s3KeyPrefix":"","s3EncryptionEnabled":"","cloudWatchLogGroupName":"","cloudWatchEncryptionEnabled":"","cloudWatchStreamingEnabled":"","kmsKeyId":"","runAsEnabled":"","runAsDefaultUser":"","idleSessionTimeout":"","maxSessionDuration":"","shellProfile":""}`), "", nil},
		{"all null", shell(`{"s3BucketName":null,"runAsEnabled":null,"idleSessionTimeout":null,"shellProfile":null}`), "", nil},
		{"bucket", shell(`{"s3BucketName":"Old_Bucket.name-1"}`), "", nil},
		{"bucket with a space", shell(`{"s3BucketName":"a b"}`), "inputs.s3BucketName must be the name of a bucket: letters, digits, hyphens, underscores and dots.", nil},
		{"bucket with a path", shell(`{"s3BucketName":"a/b"}`), "inputs.s3BucketName must be the name of a bucket: letters, digits, hyphens, underscores and dots.", nil},
		{"bucket as a number", shell(`{"s3BucketName":1}`), "inputs.s3BucketName must be a string.", nil},
		{"prefix as a list", shell(`{"s3KeyPrefix":[]}`), "inputs.s3KeyPrefix must be a string.", nil},
		{"log group as a boolean", shell(`{"cloudWatchLogGroupName":true}`), "inputs.cloudWatchLogGroupName must be a string.", nil},
		{"key as a map", shell(`{"kmsKeyId":{}}`), "inputs.kmsKeyId must be a string.", nil},
		{"prefix with NUL", shell(`{"s3KeyPrefix":"a\u0000"}`), "inputs.s3KeyPrefix must not contain NUL characters.", nil},
		{"booleans as text", shell(`{"s3EncryptionEnabled":"true","cloudWatchEncryptionEnabled":"false","cloudWatchStreamingEnabled":"true","runAsEnabled":"false"}`), "", nil},
		{"booleans in capitals", shell(`{"runAsEnabled":"True"}`), "", nil},
		{"boolean as a number", shell(`{"runAsEnabled":1}`), "inputs.runAsEnabled must be true or false.", nil},
		{"boolean as another word", shell(`{"s3EncryptionEnabled":"yes"}`), "inputs.s3EncryptionEnabled must be true or false.", nil},
		{"boolean as a list", shell(`{"cloudWatchEncryptionEnabled":[true]}`), "inputs.cloudWatchEncryptionEnabled must be true or false.", nil},
		{"boolean with spaces", shell(`{"cloudWatchStreamingEnabled":" true"}`), "inputs.cloudWatchStreamingEnabled must be true or false.", nil},
		{"boolean fetched", shell(`{"runAsEnabled":"{{ssm:x}}"}`), "inputs.runAsEnabled must be true or false.", nil},
		{"user", shell(`{"runAsDefaultUser":"CORP\\taro.y@example"}`), "", nil},
		{"user with shell syntax", shell(`{"runAsDefaultUser":"ops;id"}`), `inputs.runAsDefaultUser must be the name of a user: letters, digits and _ - . @ + \, not beginning with - or +.`, nil},
		{"user like an option", shell(`{"runAsDefaultUser":"-u"}`), `inputs.runAsDefaultUser must be the name of a user: letters, digits and _ - . @ + \, not beginning with - or +.`, nil},
		{"idle of 1", shell(`{"idleSessionTimeout":"1"}`), "", nil},
		{"idle of 60", shell(`{"idleSessionTimeout":60}`), "", nil},
		{"idle zero", shell(`{"idleSessionTimeout":"0"}`), "idleSessionTimeout must be between 1 and 60", nil},
		{"idle of 61", shell(`{"idleSessionTimeout":"61"}`), "idleSessionTimeout must be between 1 and 60", nil},
		{"idle negative", shell(`{"idleSessionTimeout":-5}`), "idleSessionTimeout must be between 1 and 60", nil},
		{"idle as a word", shell(`{"idleSessionTimeout":"soon"}`), "idleSessionTimeout must be between 1 and 60", nil},
		{"idle as a fraction", shell(`{"idleSessionTimeout":1.5}`), "idleSessionTimeout must be between 1 and 60", nil},
		{"idle with a unit", shell(`{"idleSessionTimeout":"20m"}`), "idleSessionTimeout must be between 1 and 60", nil},
		{"idle beyond a number", shell(`{"idleSessionTimeout":1e3}`), "idleSessionTimeout must be between 1 and 60", nil},
		{"idle as a boolean", shell(`{"idleSessionTimeout":true}`), "inputs.idleSessionTimeout must be a string.", nil},
		{"idle fetched", shell(`{"idleSessionTimeout":"{{ssm:x}}"}`), "idleSessionTimeout must be between 1 and 60", nil},
		{"maximum of 1", shell(`{"maxSessionDuration":"1"}`), "", nil},
		{"maximum of 1440", shell(`{"maxSessionDuration":"1440"}`), "", nil},
		{"maximum zero", shell(`{"maxSessionDuration":"0"}`), "maxSessionDuration must be between 1 and 1440", nil},
		{"maximum of 1441", shell(`{"maxSessionDuration":1441}`), "maxSessionDuration must be between 1 and 1440", nil},
		{"maximum beyond 16 bits", shell(`{"maxSessionDuration":"65537"}`), "maxSessionDuration must be between 1 and 1440", nil},
		{"profile", shell(`{"shellProfile":{"linux":"cd\ndate","windows":"date"}}`), "", nil},
		{"profile empty", shell(`{"shellProfile":{}}`), "", nil},
		{"profile as text", shell(`{"shellProfile":"date"}`), "inputs.shellProfile must be a map.", nil},
		{"profile of macOS", shell(`{"shellProfile":{"macos":"date"}}`), `Unknown property "macos". At inputs.shellProfile.macos; allowed: linux, windows.`, nil},
		{"profile as a list", shell(`{"shellProfile":{"linux":["date"]}}`), "inputs.shellProfile.linux must be a string.", nil},
		{"undeclared parameter", shell(`{"s3KeyPrefix":"a/{{ team }}"}`), `Parameter "team" is not declared. At inputs.s3KeyPrefix.`, nil},
		{"fetched prefix", shell(`{"s3KeyPrefix":"a/{{ssm:team}}","s3BucketName":"{{ ssm:/bucket:3 }}"}`), "", nil},
		{"parameters of a shell", `{"schemaVersion":"1.0","sessionType":"Standard_Stream","parameters":{"on":{"type":"Boolean","default":"false"},"m":{"type":"Integer","default":5}},"inputs":{"runAsEnabled":"{{ on }}","idleSessionTimeout":"{{m}}"}}`, "", nil},
		{"open parameter in a profile", `{"schemaVersion":"1.0","sessionType":"Standard_Stream","parameters":{"p":{"type":"String"}},"inputs":{"shellProfile":{"linux":"cd {{ p }}","windows":"cd {{p}}"}}}`, "", []string{"inputs.shellProfile.linux p", "inputs.shellProfile.windows p"}},
		{"key of a Port document", `{"schemaVersion":"1.0","sessionType":"Port","inputs":{"kmsKeyId":"k"},"properties":{"portNumber":"1"}}`, "", []string{"inputs.kmsKeyId "}},
	}
}

func parameterCases() []documentCase {
	return []documentCase{
		{"none", port(`{}`, `{"portNumber":"22"}`), "", nil},
		{"not a map", port(`[]`, `{"portNumber":"22"}`), "parameters must be a map.", nil},
		{"declaration not a map", port(`{"p":"String"}`, `{"portNumber":"22"}`), "parameters.p must be a map.", nil},
		{"name with an underscore", port(`{"x_y":{"type":"String"}}`, `{"portNumber":"22"}`), `Parameter name "x_y" is not alpha-numeric.`, nil},
		{"name empty", port(`{"":{"type":"String"}}`, `{"portNumber":"22"}`), `Parameter name "" is not alpha-numeric.`, nil},
		{"name with a hyphen", port(`{"a-b":{"type":"String"}}`, `{"portNumber":"22"}`), `Parameter name "a-b" is not alpha-numeric.`, nil},
		{"name beyond ASCII", port(`{"名":{"type":"String"}}`, `{"portNumber":"22"}`), `Parameter name "名" is not alpha-numeric.`, nil},
		{"duplicate", port(`{"p":{"type":"String"},"p":{"type":"String"}}`, `{"portNumber":"22"}`), `Duplicate property "p". At parameters.p.`, nil},
		{"no type", declares(`"description":"x"`), "parameters.p.type is missing; allowed: String, StringList, Boolean, Integer, MapList, StringMap.", nil},
		{"type of lower case as in a sample", declares(`"type":"string"`), "", nil},
		{"type of other case", declares(`"type":"STRING"`), "Parameter type: STRING is invalid. At parameters.p.type.", nil},
		{"unknown type", declares(`"type":"Float"`), "Parameter type: Float is invalid. At parameters.p.type.", nil},
		{"lower-case list", declares(`"type":"stringList"`), "Parameter type: stringList is invalid. At parameters.p.type.", nil},
		{"type as a number", declares(`"type":1`), "parameters.p.type must be a string.", nil},
		{"unknown key", declares(`"type":"String","pattern":"x"`), `Unknown property "pattern". At parameters.p.pattern; allowed: ` + parameterKeys + ".", nil},
		{"interpolationType", declares(`"type":"String","interpolationType":"ENV_VAR"`), `Unknown property "interpolationType". At parameters.p.interpolationType; allowed: ` + parameterKeys + ".", nil},
		{"description as a number", declares(`"type":"String","description":1`), "parameters.p.description must be a string.", nil},
		{"displayType", declares(`"type":"String","displayType":"textarea"`), "", nil},
		{"displayType unknown", declares(`"type":"String","displayType":"radio"`), "parameters.p.displayType must be one of textfield, textarea.", nil},
		{"all six types", port(`{"a":{"type":"String","default":"x"},"b":{"type":"StringList","default":["x"]},"c":{"type":"Boolean","default":true},"d":{"type":"Integer","default":-7},"e":{"type":"MapList","default":[{"k":1}]},"f":{"type":"StringMap","default":{"k":"v"}}}`, `{"portNumber":"22"}`), "", nil},
		{"String with a number", declares(`"type":"String","default":22`), `Wrong default value for a "String" parameters. At parameters.p.default.`, nil},
		{"String with a list", declares(`"type":"String","default":["x"]`), `Wrong default value for a "String" parameters. At parameters.p.default.`, nil},
		{"StringList with a text", declares(`"type":"StringList","default":"x"`), `Wrong default value for a "StringList" parameters. At parameters.p.default.`, nil},
		{"StringList with numbers", declares(`"type":"StringList","default":[1]`), `Wrong default value for a "StringList" parameters. At parameters.p.default.`, nil},
		{"StringList fetched", declares(`"type":"StringList","default":"{{ ssm:list }}"`), "", nil},
		{"Boolean as text", declares(`"type":"Boolean","default":"true"`), "", nil},
		{"Boolean with a number", declares(`"type":"Boolean","default":1`), `Wrong default value for a "Boolean" parameters. At parameters.p.default.`, nil},
		{"Boolean with a word", declares(`"type":"Boolean","default":"on"`), `Wrong default value for a "Boolean" parameters. At parameters.p.default.`, nil},
		{"Integer with a text", declares(`"type":"Integer","default":"7"`), `Wrong default value for a "Integer" parameters. At parameters.p.default.`, nil},
		{"Integer with a fraction", declares(`"type":"Integer","default":7.5`), `Wrong default value for a "Integer" parameters. At parameters.p.default.`, nil},
		{"Integer beyond 64 bits", declares(`"type":"Integer","default":9223372036854775808`), `Wrong default value for a "Integer" parameters. At parameters.p.default.`, nil},
		{"MapList with texts", declares(`"type":"MapList","default":["x"]`), `Wrong default value for a "MapList" parameters. At parameters.p.default.`, nil},
		{"StringMap with a list", declares(`"type":"StringMap","default":[]`), `Wrong default value for a "StringMap" parameters. At parameters.p.default.`, nil},
		{"default null", declares(`"type":"String","default":null`), "", nil},
		{"default not allowed", declares(`"type":"String","default":"c","allowedValues":["a","b"]`), `Parameter "p" has value "c" not found in [a, b]. At parameters.p.default.`, nil},
		{"default not matching", declares(`"type":"String","default":"a b","allowedPattern":"^[a-z]+$"`), `Parameter "p" has value "a b" not matching "^[a-z]+$". At parameters.p.default.`, nil},
		{"item of the default not matching", declares(`"type":"StringList","default":["a","B"],"allowedPattern":"^[a-z]+$"`), `Parameter "p" has value "B" not matching "^[a-z]+$". At parameters.p.default.`, nil},
		{"default too short", declares(`"type":"String","default":"日本","minChars":3`), `Parameter "p" has value "日本" shorter than 3 characters. At parameters.p.default.`, nil},
		{"default too long", declares(`"type":"String","default":"abc","maxChars":2`), `Parameter "p" has value "abc" longer than 2 characters. At parameters.p.default.`, nil},
		{"default of too few", declares(`"type":"StringList","default":["a"],"minItems":2`), `Parameter "p" has 1 items, fewer than 2. At parameters.p.default.`, nil},
		{"default of too many", declares(`"type":"StringMap","default":{"a":1,"b":2},"maxItems":1`), `Parameter "p" has 2 items, more than 1. At parameters.p.default.`, nil},
		{"default fetched", declares(`"type":"String","default":"{{ssm:/a/b}}","allowedPattern":"^[a-z]+$"`), "", nil},
		{"default fetched by version", declares(`"type":"String","default":"{{ ssm:a:3 }}"`), "", nil},
		{"default partly fetched", declares(`"type":"String","default":"x{{ssm:a}}","allowedPattern":"^x.*$"`), `Parameter "p" has value "x{{ssm:a}}" not matching "^x.*$". At parameters.p.default.`, nil},
		{"allowedValues not a list", declares(`"type":"String","allowedValues":"a"`), "parameters.p.allowedValues must be a list of at least one value.", nil},
		{"allowedValues empty", declares(`"type":"String","allowedValues":[]`), "parameters.p.allowedValues must be a list of at least one value.", nil},
		{"allowedValues of another type", declares(`"type":"String","allowedValues":["a",1]`), "parameters.p.allowedValues must be a list of values of type String.", nil},
		{"allowedValues of a list", declares(`"type":"StringList","allowedValues":["a","b"],"default":["b"]`), "", nil},
		{"allowedValues of numbers", declares(`"type":"Integer","allowedValues":[1,2],"default":2`), "", nil},
		{"allowedValues of booleans", declares(`"type":"Boolean","allowedValues":["true"],"default":true`), "", nil},
		{"allowedValues of maps", declares(`"type":"MapList","allowedValues":[{"a":1}],"default":[{"a":1}]`), "", nil},
		{"allowedPattern as a list", declares(`"type":"String","allowedPattern":["a"]`), "parameters.p.allowedPattern must be a string.", nil},
		{"allowedPattern empty", declares(`"type":"String","allowedPattern":""`), "", nil},
		{"allowedPattern open", declares(`"type":"String","allowedPattern":"(a"`), "parameters.p.allowedPattern is not a regular expression that can be used: missing closing ) `(a`.", nil},
		{"allowedPattern repeats nothing", declares(`"type":"String","allowedPattern":"*"`), "parameters.p.allowedPattern is not a regular expression that can be used: missing argument to repetition operator `*`.", nil},
		{"allowedPattern with a back reference", declares(`"type":"String","allowedPattern":"^(a)\\1$"`), "parameters.p.allowedPattern is not a regular expression that can be used: invalid escape sequence `\\1`.", nil},
		{"allowedPattern with look-behind", declares(`"type":"String","allowedPattern":"^a(?<!b)$"`), "parameters.p.allowedPattern is not a regular expression that can be used: look-behind is not supported.", nil},
		{"allowedPattern with look-ahead", declares(`"type":"String","allowedPattern":"^(?!root$)(?=.*[0-9])[a-z0-9]+$","default":"ops1"`), "", nil},
		{"allowedPattern with look-ahead elsewhere", declares(`"type":"String","allowedPattern":"^a(?=b)$"`), "parameters.p.allowedPattern is not a regular expression that can be used: invalid or unsupported Perl syntax `(?=`.", nil},
		{"allowedPattern with look-ahead and alternatives", declares(`"type":"String","allowedPattern":"^(?!a)b|c"`), "parameters.p.allowedPattern is not a regular expression that can be used: look-ahead is supported only before a group, not before alternatives.", nil},
		{"allowedPattern with an intersection", declares(`"type":"String","allowedPattern":"^[a-z&&x]+$"`), "parameters.p.allowedPattern is not a regular expression that can be used: intersections of classes are not supported.", nil},
		{"allowedPattern with a class inside", declares(`"type":"String","allowedPattern":"^[a[0-9]]+$"`), "parameters.p.allowedPattern is not a regular expression that can be used: a [ inside a class must be written \\[.", nil},
		{"allowedPattern with too many states", declares(`"type":"String","allowedPattern":"^([a-z]{1000}){1,20}$"`), "parameters.p.allowedPattern is not a regular expression that can be used: invalid repeat count `{1,20}`.", nil},
		{"allowedPattern that is too heavy", declares(`"type":"String","allowedPattern":"` + strings.Repeat("a{1000}", 20) + `"`), "parameters.p.allowedPattern is not a regular expression that can be used: it takes more than 10000 states.", nil},
		{"allowedPattern that is too long", declares(`"type":"String","allowedPattern":"` + strings.Repeat("a", 4097) + `"`), "parameters.p.allowedPattern is not a regular expression that can be used: it is longer than 4096 bytes.", nil},
		{"counts as text", declares(`"type":"String","minChars":"1","maxChars":"3","default":"ab"`), "", nil},
		{"count negative", declares(`"type":"String","minChars":-1`), "parameters.p.minChars must be a whole number of at least 0.", nil},
		{"count as a fraction", declares(`"type":"StringList","minItems":1.5`), "parameters.p.minItems must be a whole number of at least 0.", nil},
		{"maximum of zero", declares(`"type":"StringList","maxItems":0`), "parameters.p.maxItems must be a whole number of at least 1.", nil},
		{"count as a list", declares(`"type":"String","maxChars":[1]`), "parameters.p.maxChars must be a string.", nil},
		{"characters the wrong way round", declares(`"type":"String","minChars":3,"maxChars":2`), "parameters.p.minChars must not be greater than maxChars.", nil},
		{"items the wrong way round", declares(`"type":"StringList","minItems":3,"maxItems":2`), "parameters.p.minItems must not be greater than maxItems.", nil},
		{"too many", port(manyParameters(MaxParameters+1), `{"portNumber":"22"}`), "parameters must have at most 200 members.", nil},
		{"as many as may be", port(manyParameters(MaxParameters), `{"portNumber":"22"}`), "", nil},
	}
}

func manyParameters(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"p` + strings.Repeat("x", i) + `":{"type":"String"}`)
	}
	return "{" + b.String() + "}"
}

func propertyCases() []documentCase {
	return []documentCase{
		{"port", port(`{}`, `{"portNumber":"22"}`), "", nil},
		{"port as a number", port(`{}`, `{"portNumber":22,"localPortNumber":0}`), "", nil},
		{"forwarding", port(`{}`, `{"portNumber":"80","type":"LocalPortForwarding","localPortNumber":"8080","host":"db.example"}`), "", nil},
		{"forwarding over a socket", port(`{}`, `{"portNumber":"80","type":"LocalPortForwarding","localConnectionType":"unix","localUnixSocket":"/tmp/s"}`), "", nil},
		{"console's empty texts", port(`{}`, `{"portNumber":"80","type":"","localPortNumber":"","host":""}`), "", nil},
		{"no port number", port(`{}`, `{"type":"LocalPortForwarding"}`), "properties.portNumber is missing.", nil},
		{"properties not a map", port(`{}`, `"22"`), "properties must be a map.", nil},
		{"port 0", port(`{}`, `{"portNumber":"0"}`), "properties.portNumber must be a number between 1 and 65535.", nil},
		{"port 65536", port(`{}`, `{"portNumber":"65536"}`), "properties.portNumber must be a number between 1 and 65535.", nil},
		{"port with a leading zero", port(`{}`, `{"portNumber":"022"}`), "properties.portNumber must be a number between 1 and 65535.", nil},
		{"port as a word", port(`{}`, `{"portNumber":"ssh"}`), "properties.portNumber must be a number between 1 and 65535.", nil},
		{"port as a fraction", port(`{}`, `{"portNumber":22.0}`), "properties.portNumber must be a number between 1 and 65535.", nil},
		{"port as a list", port(`{}`, `{"portNumber":["22"]}`), "properties.portNumber must be a string.", nil},
		{"local port", port(`{}`, `{"portNumber":"22","localPortNumber":"-1"}`), "properties.localPortNumber must be a number between 0 and 65535.", nil},
		{"forwarding type", port(`{}`, `{"portNumber":"22","type":"Local"}`), "properties.type must be one of LocalPortForwarding.", nil},
		{"connection type", port(`{}`, `{"portNumber":"22","localConnectionType":"udp"}`), "properties.localConnectionType must be one of tcp, unix.", nil},
		{"host with a space", port(`{}`, `{"portNumber":"22","host":"a b"}`), "properties.host must not contain spaces.", nil},
		{"unknown property", port(`{}`, `{"portNumber":"22","remoteHost":"x"}`), `Unknown property "remoteHost". At properties.remoteHost; allowed: portNumber, type, localPortNumber, host, localConnectionType, localUnixSocket.`, nil},
		{"port undeclared", port(`{}`, `{"portNumber":"{{ portNumber }}"}`), `Parameter "portNumber" is not declared. At properties.portNumber.`, nil},
		{"port declared", port(`{"portNumber":{"type":"String","default":"22"}}`, `{"portNumber":"{{portNumber}}"}`), "", nil},
		{"port fetched", port(`{}`, `{"portNumber":"{{ssm:port}}"}`), "", nil},

		{"command", interactive(`{}`, `{"linux":{"commands":"top","runAsElevated":true}}`), "", nil},
		{"three platforms", interactive(`{}`, `{"linux":{"commands":"a"},"windows":{"commands":"b"},"macos":{"commands":"c"}}`), "", nil},
		{"macOS spelled as Apple does", interactive(`{}`, `{"macOS":{"commands":"c"}}`), "", nil},
		{"macOS twice", interactive(`{}`, `{"macos":{"commands":"c"},"macOS":{"commands":"c"}}`), `Duplicate property "macOS". At properties.macOS.`, nil},
		{"no platform", interactive(`{}`, `{}`), "properties must have at least one of linux, windows, macos.", nil},
		{"unknown platform", interactive(`{}`, `{"bsd":{"commands":"a"}}`), `Unknown property "bsd". At properties.bsd; allowed: linux, windows, macos, macOS.`, nil},
		{"platform in capitals", interactive(`{}`, `{"Linux":{"commands":"a"}}`), `Unknown property "Linux". At properties.Linux; allowed: linux, windows, macos, macOS.`, nil},
		{"platform as text", interactive(`{}`, `{"linux":"top"}`), "properties.linux must be a map.", nil},
		{"no commands", interactive(`{}`, `{"linux":{"runAsElevated":true}}`), "properties.linux.commands is missing.", nil},
		{"blank commands", interactive(`{}`, `{"windows":{"commands":" \n"}}`), "properties.windows.commands must not be empty.", nil},
		{"no lines", interactive(`{}`, `{"macos":{"commands":[]}}`), "properties.macos.commands must not be empty.", nil},
		{"lines", interactive(`{}`, `{"linux":{"commands":["a","b"]}}`), "", nil},
		{"line as a number", interactive(`{}`, `{"linux":{"commands":["a",1]}}`), "properties.linux.commands must be a string or a list of strings.", nil},
		{"commands as a map", interactive(`{}`, `{"linux":{"commands":{}}}`), "properties.linux.commands must be a string or a list of strings.", nil},
		{"commands with NUL", interactive(`{}`, `{"linux":{"commands":"a\u0000b"}}`), "properties.linux.commands must not contain NUL characters.", nil},
		{"elevated as text", interactive(`{}`, `{"linux":{"commands":"a","runAsElevated":"true"}}`), "", nil},
		{"elevated as a number", interactive(`{}`, `{"linux":{"commands":"a","runAsElevated":1}}`), "properties.linux.runAsElevated must be true or false.", nil},
		{"unknown key of a platform", interactive(`{}`, `{"linux":{"commands":"a","user":"root"}}`), `Unknown property "user". At properties.linux.user; allowed: commands, runAsElevated.`, nil},
		{"streams of an interactive command", interactive(`{}`, `{"linux":{"commands":"a","separateOutputStream":true}}`), `Unknown property "separateOutputStream". At properties.linux.separateOutputStream; allowed: commands, runAsElevated.`, nil},
		{"streams", nonInteractive(`{"linux":{"commands":"a","separateOutputStream":"true","stdOutSeparatorPrefix":"STD_OUT:","stdErrSeparatorPrefix":"\r\n-"}}`), "", nil},
		{"streams as a number", nonInteractive(`{"linux":{"commands":"a","separateOutputStream":1}}`), "properties.linux.separateOutputStream must be true or false.", nil},
		{"prefix with a space", nonInteractive(`{"linux":{"commands":"a","stdOutSeparatorPrefix":"a b"}}`), "properties.linux.stdOutSeparatorPrefix must have at most 30 letters, digits, line breaks and _ : -.", nil},
		{"prefix of 31", nonInteractive(`{"linux":{"commands":"a","stdErrSeparatorPrefix":"` + strings.Repeat("x", 31) + `"}}`), "properties.linux.stdErrSeparatorPrefix must have at most 30 letters, digits, line breaks and _ : -.", nil},
		{"undeclared parameter on Windows", interactive(`{}`, `{"windows":{"commands":"dir {{ d }}"}}`), `Parameter "d" is not declared. At properties.windows.commands.`, nil},
		{"undeclared parameter on macOS", interactive(`{}`, `{"macos":{"commands":["ls","ls {{ d }}"]}}`), `Parameter "d" is not declared. At properties.macos.commands[1].`, nil},
		{"braces of another language", interactive(`{}`, `{"linux":{"commands":"docker ps --format '{{.Names}} {{json .}} {{ }} {{a_b}}'"}}`), "", nil},
		{"without inputs", interactive(`{}`, `{"linux":{"commands":"a"}}`), "", nil},

		{"no pattern", interactive(`{"p":{"type":"String"}}`, `{"linux":{"commands":["ls","ls {{p}} {{ p }}"]},"windows":{"commands":"dir {{p}}"}}`), "", []string{"properties.linux.commands p", "properties.windows.commands p"}},
		{"no pattern but values", interactive(`{"p":{"type":"String","allowedValues":["a;b"]}}`, `{"linux":{"commands":"ls {{p}}"}}`), "", nil},
		{"number in a command", interactive(`{"p":{"type":"Integer"},"q":{"type":"Boolean"}}`, `{"linux":{"commands":"ls {{p}} {{q}}"}}`), "", nil},
		{"map in a command", interactive(`{"p":{"type":"StringMap","allowedPattern":"^[a-z]+$"}}`, `{"linux":{"commands":"ls {{p}}"}}`), "", []string{"properties.linux.commands p"}},
		{"no pattern outside a command", port(`{"p":{"type":"String"}}`, `{"portNumber":"22","host":"{{p}}"}`), "", nil},
		{"guarded pattern", withPattern(`^[A-Za-z0-9_./-]+$`), "", nil},
		{"guarded alternatives", withPattern(`^(?:start|stop)$`), "", nil},
		{"each alternative anchored", withPattern(`^start$|^stop$`), "", nil},
		{"alternatives not anchored", withPattern(`^start|stop$`), "", []string{"properties.linux.commands p"}},
		{"no anchor", withPattern(`[a-z]+`), "", []string{"properties.linux.commands p"}},
		{"anchored at the start", withPattern(`^[a-z]+`), "", []string{"properties.linux.commands p"}},
		{"anchored by lines", withPattern(`(?m)^[a-z]+$`), "", []string{"properties.linux.commands p"}},
		{"a dot", withPattern(`^.+$`), "", []string{"properties.linux.commands p"}},
		{"the official sample's dot", withPattern(`^[a-zA-Z0-9-_/]+(.log)$`), "", []string{"properties.linux.commands p"}},
		{"the sample with an escaped dot", withPattern(`^[a-zA-Z0-9-_/]+(\\.log)$`), "", nil},
		{"a negated class", withPattern(`^[^;&|]+$`), "", []string{"properties.linux.commands p"}},
		{"a quote", withPattern(`^[a-z']+$`), "", []string{"properties.linux.commands p"}},
		{"white space of any kind", withPattern(`^[a-z\\s]+$`), "", []string{"properties.linux.commands p"}},
		{"letters of any script", withPattern(`^[\\p{L}\\p{Nd}_-]+$`), "", nil},
		{"look-ahead before a guarded pattern", withPattern(`^(?!root$)[a-z]+$`), "", nil},
	}
}

func TestDocumentsHaveTheExactAnswer(t *testing.T) {
	total := 0
	for group, cases := range map[string][]documentCase{
		"document": topCases(), "inputs": inputCases(), "parameters": parameterCases(), "properties": propertyCases(),
	} {
		total += len(cases)
		for _, c := range cases {
			t.Run(group+"/"+c.name, func(t *testing.T) {
				content, err := Parse([]byte(c.text))
				if c.want != "" {
					wantError(t, err, CodeInvalidContent, c.want)
					return
				}
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				var warned []string
				for _, w := range content.Warnings {
					warned = append(warned, w.Path+" "+w.Parameter)
				}
				if diff := cmp.Diff(c.warnings, warned); diff != "" {
					t.Errorf("warnings (-want +got):\n%s", diff)
				}
			})
		}
	}
	if total < 150 {
		t.Errorf("the table has %d documents, want 150", total)
	}
}

func TestWarningsSayWhatIsWrong(t *testing.T) {
	for pattern, want := range map[string]string{
		"":            "has no allowedPattern or allowedValues",
		`[a-z]+`:      "has an allowedPattern that is not anchored with ^ and $ at both ends",
		`^[a-z;]+$`:   "has an allowedPattern that lets ';' through",
		`^(a|.)$`:     "has an allowedPattern that lets ';' through",
		`^[^a-z]+$`:   `has an allowedPattern that lets '\x00' through`,
		`^[a-z\\n]+$`: `has an allowedPattern that lets '\n' through`,
		"^(" + strings.Repeat(`\\p{L}`, 100) + ")+$": "has an allowedPattern that has too many characters to be judged",
	} {
		c, err := Parse([]byte(withPattern(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		message := `Parameter "p" is put into a command at properties.linux.commands and ` + want +
			": whoever may start a session with this document can run other commands."
		if diff := cmp.Diff([]Warning{{"properties.linux.commands", "p", message}}, c.Warnings); diff != "" {
			t.Errorf("%s (-want +got):\n%s", pattern, diff)
		}
	}
}
