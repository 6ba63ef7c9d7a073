package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"runtime"
)

// version is stamped by the Makefile (-ldflags "-X main.version=...").
var version = "unknown"

func runVersion(_ context.Context, c command, args []string, stdout, _ io.Writer) error {
	var flags flag.FlagSet
	if err := c.parse(&flags, args, stdout); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stdout, "sekishod %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

func runConfigDescribe(_ context.Context, c command, args []string, stdout, _ io.Writer) error {
	var flags flag.FlagSet
	if err := c.parse(&flags, args, stdout); err != nil {
		return err
	}
	return defaultConfig().describe(stdout)
}
