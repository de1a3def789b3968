package main

import (
	"bytes"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/kms"
	"github.com/aws/aws-sdk-go/service/s3"
	"github.com/aws/aws-sdk-go/service/s3/s3crypto"
)

type clientSdk1 struct{ session *session.Session }

func newSdk1(r Request) (Client, error) {
	s, err := session.NewSession(&aws.Config{
		Region:           aws.String("us-east-1"),
		Endpoint:         aws.String(r.Endpoint),
		Credentials:      credentials.NewStaticCredentials("test", "test", ""),
		S3ForcePathStyle: aws.Bool(true),
	})
	return clientSdk1{s}, err
}

func (c clientSdk1) Put(r Request, body []byte) error {
	input := &s3.PutObjectInput{
		Bucket: &r.Bucket, Key: &r.Key, Body: bytes.NewReader(body), Metadata: aws.StringMap(r.Metadata),
	}
	var save s3crypto.SaveStrategy = s3crypto.HeaderV2SaveStrategy{}
	if r.Storage == "instruction-file" {
		save = s3crypto.S3SaveStrategy{Client: s3.New(c.session), InstructionFileSuffix: r.Suffix}
	}
	description := s3crypto.MaterialDescription{}
	for name, value := range r.Context {
		description[name] = aws.String(value)
	}
	if r.Client == "gosdk1-v2" {
		generator := s3crypto.NewKMSContextKeyGenerator(kms.New(c.session), r.Keyring.Arn, description)
		client, err := s3crypto.NewEncryptionClientV2(c.session, s3crypto.AESGCMContentCipherBuilderV2(generator),
			func(o *s3crypto.EncryptionClientOptions) { o.SaveStrategy = save })
		if err != nil {
			return err
		}
		_, err = client.PutObject(input)
		return err
	}
	generator := s3crypto.NewKMSKeyGeneratorWithMatDesc(kms.New(c.session), r.Keyring.Arn, description)
	builder := s3crypto.AESGCMContentCipherBuilder(generator)
	if strings.HasSuffix(r.Client, "cbc") {
		builder = s3crypto.AESCBCContentCipherBuilder(generator, padder(r.Padder))
	}
	client := s3crypto.NewEncryptionClient(c.session, builder,
		func(o *s3crypto.EncryptionClient) { o.SaveStrategy = save })
	_, err := client.PutObject(input)
	return err
}

func padder(name string) s3crypto.Padder {
	switch name {
	case "PKCS7Padding":
		return s3crypto.NewPKCS7Padder(16)
	case "NoPadding":
		return s3crypto.NoPadder
	}
	return s3crypto.AESCBCPadder
}

func (c clientSdk1) Get(r Request) ([]byte, map[string]string, error) {
	input := &s3.GetObjectInput{Bucket: &r.Bucket, Key: &r.Key}
	if r.Range != "" {
		input.Range = &r.Range
	}
	output, err := c.open(r, input)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(output.Body)
	return body, aws.StringValueMap(output.Metadata), err
}

func (c clientSdk1) open(r Request, input *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	if r.Client != "gosdk1-v2" {
		return s3crypto.NewDecryptionClient(c.session).GetObject(input)
	}
	registry := s3crypto.NewCryptoRegistry()
	keys := kms.New(c.session)
	steps := []func() error{
		func() error { return s3crypto.RegisterAESGCMContentCipher(registry) },
		func() error { return s3crypto.RegisterKMSContextWrapWithCMK(registry, keys, r.Keyring.Arn) },
	}
	if r.LegacyWrapping {
		steps = append(steps, func() error { return s3crypto.RegisterKMSWrapWithCMK(registry, keys, r.Keyring.Arn) })
	}
	if r.LegacyContent {
		steps = append(steps, func() error {
			return s3crypto.RegisterAESCBCContentCipher(registry, s3crypto.AESCBCPadder)
		})
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	client, err := s3crypto.NewDecryptionClientV2(c.session, registry)
	if err != nil {
		return nil, err
	}
	return client.GetObject(input)
}

func (c clientSdk1) Delete(r Request) error {
	_, err := s3.New(c.session).DeleteObject(&s3.DeleteObjectInput{Bucket: &r.Bucket, Key: &r.Key})
	return err
}
