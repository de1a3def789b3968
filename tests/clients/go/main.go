// The client of MinIO for Go. Prints each operation that worked.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

var ctx = context.Background()

// must ends the program with what went wrong.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func did(worked bool, operations ...string) {
	text := strings.Join(operations, "\n")
	if !worked {
		panic(errors.New(text))
	}
	fmt.Println(text)
}

func main() {
	bucket, size := os.Args[1], must(strconv.Atoi(os.Args[2]))
	at := must(url.Parse(os.Getenv("AWS_ENDPOINT_URL_S3")))
	connect := func(trailers bool) *minio.Client {
		return must(minio.New(at.Host, &minio.Options{
			Creds:           credentials.NewEnvAWS(),
			Secure:          at.Scheme == "https",
			Region:          "us-east-1",
			TrailingHeaders: trailers,
		}))
	}
	client := connect(false)
	big := make([]byte, size)
	rand.New(rand.NewSource(1)).Read(big)
	read := func(key string, options minio.GetObjectOptions) []byte {
		return must(io.ReadAll(must(client.GetObject(ctx, bucket, key, options))))
	}

	small := []byte("0123456789")
	put := must(client.PutObject(ctx, bucket, "small", bytes.NewReader(small), 10, minio.PutObjectOptions{}))
	did(put.ETag != "", "put")
	// Every chunk signed, and the checksum behind them as well.
	put = must(connect(true).PutObject(ctx, bucket, "trailer", bytes.NewReader(small), 10, minio.PutObjectOptions{}))
	did(bytes.Equal(small, read("trailer", minio.GetObjectOptions{})) && put.ETag != "", "get")
	once := minio.PutObjectOptions{}
	once.SetMatchETagExcept("*")
	_, err := client.PutObject(ctx, bucket, "small", bytes.NewReader(small), 10, once)
	did(minio.ToErrorResponse(err).StatusCode == http.StatusPreconditionFailed, "condition")
	parts := minio.PutObjectOptions{PartSize: 5 << 20, NumThreads: 4, ConcurrentStreamParts: true}
	// A reader that says no length, and cannot seek.
	must(client.PutObject(ctx, bucket, "big", io.MultiReader(bytes.NewReader(big)), -1, parts))
	did(bytes.Equal(big, read("big", minio.GetObjectOptions{})), "parts", "stream")
	last := minio.GetObjectOptions{}
	if err := last.SetRange(0, -3); err != nil {
		panic(err)
	}
	did(string(read("small", last)) == "789", "range")
	source := minio.CopySrcOptions{Bucket: bucket, Object: "small"}
	must(client.CopyObject(ctx, minio.CopyDestOptions{Bucket: bucket, Object: "copy"}, source))
	did(bytes.Equal(small, read("copy", minio.GetObjectOptions{})), "copy")
	must(client.ComposeObject(ctx, minio.CopyDestOptions{Bucket: bucket, Object: "composed"},
		minio.CopySrcOptions{Bucket: bucket, Object: "big"}, source))
	did(bytes.Equal(append(append([]byte{}, big...), small...), read("composed", minio.GetObjectOptions{})),
		"copy in parts")
	sizes := func() string {
		var found []string
		for each := range client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
			found = append(found, fmt.Sprint(each.Key, each.Size))
		}
		return strings.Join(found, " ")
	}
	did(sizes() == fmt.Sprintf("big%d composed%d copy10 small10 trailer10", size, size+10), "list")
	presigned := must(client.PresignedGetObject(ctx, bucket, "copy", time.Minute, nil))
	did(bytes.Equal(small, must(io.ReadAll(must(http.Get(presigned.String())).Body))), "presigned URL")
	if err := client.RemoveObject(ctx, bucket, "composed", minio.RemoveObjectOptions{}); err != nil {
		panic(err)
	}
	did(!strings.Contains(sizes(), "composed"), "delete")
}
