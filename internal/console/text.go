package console

// landingText is the landing page in one language.
type landingText struct {
	Language   string // of the page, BCP 47
	OtherName  string // the other language, in that language
	Title      string
	What       string
	RegionName string
	Endpoint   string
	NoConsole  string
	OpenTitle  string
	OpenNeeds  string
	OpenList   string
	OpenStart  string
	OpenHint   string
}

func texts() map[string]landingText {
	return map[string]landingText{
		"en": {
			Language:   "en",
			OtherName:  "日本語",
			Title:      "Sekisho",
			What:       "This is a Sekisho server: a self-hosted, wire-compatible AWS Systems Manager Session Manager. It opens shells on managed nodes that have no open port, for clients that speak the AWS API.",
			RegionName: "Region",
			Endpoint:   "Endpoint",
			NoConsole:  "This server was built without the web console (make web builds it): this page is all there is to see in a browser. Everything works through the command line.",
			OpenTitle:  "Opening a session",
			OpenNeeds:  "You need the AWS CLI, Sekisho's session-manager-plugin (or the stock one), an access key of this server and the certificate of its CA (ca.pem). With them:",
			OpenList:   "See the managed nodes:",
			OpenStart:  "Open a shell on one of them:",
			OpenHint:   "On a machine that runs sekishod dev, the file env.sh in its directory sets all of this.",
		},
		"ja": {
			Language:   "ja",
			OtherName:  "English",
			Title:      "Sekisho(関所)",
			What:       "これは Sekisho サーバーです。AWS Systems Manager の Session Manager と通信互換の、自分で運用できるサービスです。ポートを開けていないマネージドノードのシェルを、AWS API を使うクライアントから開けます。",
			RegionName: "リージョン",
			Endpoint:   "エンドポイント",
			NoConsole:  "このサーバーはウェブコンソールなしでビルドされています(make web でビルドできます)。ブラウザーで見られるのはこのページだけです。操作はすべてコマンドラインで行えます。",
			OpenTitle:  "セッションを開くには",
			OpenNeeds:  "AWS CLI、Sekisho の session-manager-plugin(公式のものでも可)、このサーバーのアクセスキー、サーバーの CA 証明書(ca.pem)が必要です。用意ができたら次のように設定します。",
			OpenList:   "マネージドノードの一覧:",
			OpenStart:  "ノードのシェルを開く:",
			OpenHint:   "sekishod dev を動かしているマシンでは、そのディレクトリーの env.sh を読み込むだけで設定できます。",
		},
	}
}
