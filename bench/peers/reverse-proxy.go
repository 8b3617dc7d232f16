package main

import (
	"log"
	"net/http"
	"net/http/httputil"
	"os"
	"strings"
)

// net/http/httputil's ReverseProxy with a pool large enough for every connection of a run.
func main() {
	proxy := &httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 512, DisableCompression: true},
		Director: func(request *http.Request) {
			port, _, _ := strings.Cut(request.Header.Get("X-Iterate-Proxy-Target-Host"), "__")
			request.Header.Del("X-Iterate-Proxy-Target-Host")
			request.Header.Del("X-Iterate-Proxy-Ticket")
			request.URL.Scheme = "http"
			request.URL.Host = "127.0.0.1:" + port
			request.Host = "localhost:" + port
		},
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), proxy))
}
