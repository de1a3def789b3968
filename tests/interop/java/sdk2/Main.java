import java.io.ByteArrayInputStream;
import java.net.URI;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.awscore.AwsRequestOverrideConfiguration;
import software.amazon.awssdk.core.ResponseBytes;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.core.sync.ResponseTransformer;
import software.amazon.awssdk.http.SdkHttpRequest;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kms.KmsClient;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.CompletedPart;
import software.amazon.awssdk.services.s3.model.GetObjectRequest;
import software.amazon.awssdk.services.s3.model.GetObjectResponse;
import software.amazon.awssdk.services.s3.model.SdkPartType;
import software.amazon.encryption.s3.S3EncryptionClient;
import software.amazon.encryption.s3.internal.InstructionFileConfig;
import software.amazon.encryption.s3.internal.ReEncryptInstructionFileRequest;
import software.amazon.encryption.s3.materials.AesKeyring;
import software.amazon.encryption.s3.materials.Keyring;
import software.amazon.encryption.s3.materials.KmsDiscoveryKeyring;
import software.amazon.encryption.s3.materials.KmsKeyring;
import software.amazon.encryption.s3.materials.MaterialsDescription;
import software.amazon.encryption.s3.materials.PartialRsaKeyPair;
import software.amazon.encryption.s3.materials.RawKeyring;
import software.amazon.encryption.s3.materials.RsaKeyring;

/** The Amazon S3 Encryption Client for Java, major 3 or 4 (whichever Flavor was compiled in). */
final class Main extends Peer {
    private final Turnover turnover = new Turnover();
    private String endpoint;
    private S3Client s3;
    private S3AsyncClient s3Async;
    private KmsClient kms;

    public static void main(String[] arguments) throws Exception {
        new Main().serve();
    }

    /** moto answers an expected "100 Continue" twice, and the client takes the second for the answer. */
    private static final class NoExpect implements ExecutionInterceptor {
        @Override
        public SdkHttpRequest modifyHttpRequest(Context.ModifyHttpRequest context, ExecutionAttributes attributes) {
            return context.httpRequest().toBuilder().removeHeader("Expect").build();
        }
    }

    private void connect(Request request) {
        if (request.text("endpoint").equals(endpoint) && !turnover.due()) {
            return;
        }
        if (s3 != null) {
            release(s3, s3Async, kms);
        }
        endpoint = request.text("endpoint");
        URI at = URI.create(endpoint);
        StaticCredentialsProvider credentials = StaticCredentialsProvider.create(AwsBasicCredentials.create(
                request.text("access_key", "test"), request.text("secret_key", "test")));
        s3 = S3Client.builder().endpointOverride(at).region(Region.US_EAST_1).credentialsProvider(credentials)
                .forcePathStyle(true).overrideConfiguration(o -> o.addExecutionInterceptor(new NoExpect())).build();
        s3Async = S3AsyncClient.builder().endpointOverride(at).region(Region.US_EAST_1)
                .credentialsProvider(credentials).forcePathStyle(true)
                .overrideConfiguration(o -> o.addExecutionInterceptor(new NoExpect())).build();
        kms = KmsClient.builder().endpointOverride(URI.create(request.text("kms_endpoint", endpoint)))
                .region(Region.US_EAST_1).credentialsProvider(credentials).build();
    }

    /** Closes in the background: an asynchronous client waits two seconds for its threads. */
    private static void release(AutoCloseable... clients) {
        Thread thread = new Thread(() -> {
            for (AutoCloseable client : clients) {
                try {
                    client.close();
                } catch (Exception failure) {
                    System.err.println(failure);
                }
            }
        });
        thread.setDaemon(true);
        thread.start();
    }

    private S3EncryptionClient client(Request request) throws Exception {
        connect(request);
        S3EncryptionClient.Builder builder = Flavor.builder(request.text("policy"))
                .wrappedClient(s3)
                .wrappedAsyncClient(s3Async)
                .keyring(keyring(request))
                .enableLegacyUnauthenticatedModes(request.flag("legacy_content"));
        if (request.instructionFile()) {
            builder.instructionFileConfig(InstructionFileConfig.builder().instructionFileClient(s3)
                    .enableInstructionFilePutObject(true).build());
        }
        if (request.flag("high_level_multipart")) {
            builder.enableMultipartPutObject(true);
        }
        return builder.build();
    }

    private Keyring keyring(Request request) throws Exception {
        boolean legacy = request.flag("legacy_wrapping");
        Request.Key key = request.key();
        return switch (key.kind()) {
            case "kms" -> KmsKeyring.builder().kmsClient(kms).wrappingKeyId(key.arn())
                    .enableLegacyWrappingAlgorithms(legacy).build();
            case "kms-discovery" -> KmsDiscoveryKeyring.builder().kmsClient(kms)
                    .enableLegacyWrappingAlgorithms(legacy).build();
            default -> raw(key, legacy);
        };
    }

    private static RawKeyring raw(Request.Key key, boolean legacy) throws Exception {
        MaterialsDescription description = MaterialsDescription.builder().putAll(key.description()).build();
        if (key.kind().equals("aes")) {
            return AesKeyring.builder().wrappingKey(key.aes()).materialsDescription(description)
                    .enableLegacyWrappingAlgorithms(legacy).build();
        }
        PartialRsaKeyPair pair = PartialRsaKeyPair.builder().publicKey(key.rsa().getPublic())
                .privateKey(key.rsa().getPrivate()).build();
        return RsaKeyring.builder().wrappingKeyPair(pair).materialsDescription(description)
                .enableLegacyWrappingAlgorithms(legacy).build();
    }

    private static Consumer<AwsRequestOverrideConfiguration.Builder> configuration(Request request) {
        Map<String, String> context = request.context();
        return builder -> {
            if (!context.isEmpty()) {
                S3EncryptionClient.withAdditionalConfiguration(context).accept(builder);
            }
            if (request.text("suffix") != null) {
                Flavor.suffix(request.text("suffix")).accept(builder);
            }
        };
    }

    @Override
    byte[] get(Request request, Map<String, String> metadata) throws Exception {
        GetObjectRequest.Builder get = GetObjectRequest.builder().bucket(request.text("bucket"))
                .key(request.text("key")).overrideConfiguration(configuration(request));
        if (request.text("range") != null) {
            get.range(request.text("range"));
        }
        ResponseBytes<GetObjectResponse> answer =
                client(request).getObject(get.build(), ResponseTransformer.toBytes());
        metadata.putAll(answer.response().metadata());
        return answer.asByteArray();
    }

    @Override
    void put(Request request) throws Exception {
        client(request).putObject(
                b -> b.bucket(request.text("bucket")).key(request.text("key")).metadata(request.metadata())
                        .overrideConfiguration(configuration(request)),
                RequestBody.fromBytes(request.plaintext()));
    }

    @Override
    void putMultipart(Request request) throws Exception {
        if (request.flag("high_level_multipart")) {
            put(request);
            return;
        }
        S3EncryptionClient client = client(request);
        String bucket = request.text("bucket");
        String key = request.text("key");
        String id = client.createMultipartUpload(b -> b.bucket(bucket).key(key).metadata(request.metadata())
                .overrideConfiguration(configuration(request))).uploadId();
        byte[] body = request.plaintext();
        int size = request.node.get("part_size").asInt();
        List<CompletedPart> parts = new ArrayList<>();
        for (int start = 0, number = 1; start < body.length; start += size, number += 1) {
            int end = Math.min(body.length, start + size);
            byte[] part = Arrays.copyOfRange(body, start, end);
            int partNumber = number;
            SdkPartType kind = end == body.length ? SdkPartType.LAST : SdkPartType.DEFAULT;
            String tag = client.uploadPart(
                    b -> b.bucket(bucket).key(key).uploadId(id).partNumber(partNumber).sdkPartType(kind),
                    RequestBody.fromInputStream(new ByteArrayInputStream(part), part.length)).eTag();
            parts.add(CompletedPart.builder().partNumber(number).eTag(tag).build());
        }
        client.completeMultipartUpload(b -> b.bucket(bucket).key(key).uploadId(id).multipartUpload(m -> m.parts(parts)));
    }

    @Override
    void reencrypt(Request request) throws Exception {
        ReEncryptInstructionFileRequest.Builder builder = ReEncryptInstructionFileRequest.builder()
                .bucket(request.text("bucket")).key(request.text("key")).newKeyring(raw(request.newKey(), false));
        if (request.text("suffix") != null) {
            builder.instructionFileSuffix(request.text("suffix"));
        }
        client(request).reEncryptInstructionFile(builder.build());
    }

    @Override
    void delete(Request request) throws Exception {
        client(request).deleteObject(b -> b.bucket(request.text("bucket")).key(request.text("key")));
    }
}
