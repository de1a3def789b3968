import java.io.ByteArrayInputStream;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.Collectors;
import software.amazon.awssdk.core.async.AsyncRequestBody;
import software.amazon.awssdk.core.async.AsyncResponseTransformer;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.core.sync.ResponseTransformer;
import software.amazon.awssdk.http.SdkHttpRequest;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.S3Configuration;
import software.amazon.awssdk.services.s3.model.CompletedPart;
import software.amazon.awssdk.services.s3.model.GetObjectResponse;
import software.amazon.awssdk.services.s3.model.ObjectIdentifier;
import software.amazon.awssdk.services.s3.model.S3Exception;
import software.amazon.awssdk.services.s3.presigner.S3Presigner;
import software.amazon.awssdk.transfer.s3.S3TransferManager;

/** The AWS SDK for Java v2: its client ("sdk"), or its transfer manager ("transfer"). Prints each operation that worked. */
final class Main {
    private static final int PART = 5 * 1024 * 1024;
    private final String bucket;
    private final byte[] big;
    private final Path folder;

    private Main(String bucket, int size, Path folder) {
        this.bucket = bucket;
        this.folder = folder;
        big = new byte[size];
        new java.util.Random(1).nextBytes(big);
    }

    public static void main(String[] arguments) throws Exception {
        Main main = new Main(arguments[1], Integer.parseInt(arguments[2]), Path.of(arguments[3]));
        if (arguments[0].equals("transfer")) {
            main.transfer(arguments[4].equals("moto-plain"));
        } else {
            main.client();
        }
        System.exit(0);
    }

    private static void did(boolean worked, String... operations) {
        if (!worked) {
            throw new AssertionError(String.join(", ", operations));
        }
        System.out.println(String.join("\n", operations));
    }

    private void client() throws Exception {
        S3Client s3 = S3Client.create();
        byte[] small = "0123456789".getBytes();
        s3.putObject(b -> b.bucket(bucket).key("small"), RequestBody.fromBytes(small));
        did(true, "put");
        int status = 0;
        try {
            s3.putObject(b -> b.bucket(bucket).key("small").ifNoneMatch("*"), RequestBody.fromString("another"));
        } catch (S3Exception refused) {
            status = refused.statusCode();
        }
        did(status == 412, "condition");
        s3.putObject(b -> b.bucket(bucket).key("streamed"),
                RequestBody.fromContentProvider(() -> new ByteArrayInputStream(big), "application/octet-stream"));
        did(Arrays.equals(big, s3.getObjectAsBytes(b -> b.bucket(bucket).key("streamed")).asByteArray()),
                "stream", "get");
        parts(s3);
        did(s3.getObject(b -> b.bucket(bucket).key("small").range("bytes=-3"), ResponseTransformer.toBytes())
                .asUtf8String().equals("789"), "range");
        s3.copyObject(b -> b.sourceBucket(bucket).sourceKey("small").destinationBucket(bucket).destinationKey("copy"));
        did(s3.headObject(b -> b.bucket(bucket).key("copy")).contentLength() == small.length, "copy");
        copyInParts(s3);
        did(sizes(s3).equals("big " + big.length + ", copied " + (big.length - 1) + ", copy 10, small 10, streamed "
                + big.length), "list");
        S3Configuration path = S3Configuration.builder().pathStyleAccessEnabled(true).build();
        try (S3Presigner presigner = S3Presigner.builder().s3Client(s3).serviceConfiguration(path)
                .endpointOverride(java.net.URI.create(System.getenv("AWS_ENDPOINT_URL_S3"))).build()) {
            URL url = presigner.presignGetObject(b -> b.signatureDuration(Duration.ofMinutes(5))
                    .getObjectRequest(g -> g.bucket(bucket).key("copy"))).url();
            did(Arrays.equals(small, url.openStream().readAllBytes()), "presigned URL");
        }
        s3.deleteObjects(b -> b.bucket(bucket).delete(d -> d.objects(ObjectIdentifier.builder().key("streamed").build(),
                ObjectIdentifier.builder().key("big").build())));
        did(sizes(s3).startsWith("copied"), "delete");
    }

    /** From several threads, the last part first. */
    private void parts(S3Client s3) throws Exception {
        String id = s3.createMultipartUpload(b -> b.bucket(bucket).key("big")).uploadId();
        ExecutorService threads = Executors.newFixedThreadPool(4);
        List<java.util.concurrent.Future<CompletedPart>> sent = new ArrayList<>();
        for (int number = (big.length + PART - 1) / PART; number > 0; number -= 1) {
            int part = number;
            byte[] body = Arrays.copyOfRange(big, (part - 1) * PART, Math.min(big.length, part * PART));
            sent.add(0, threads.submit(() -> CompletedPart.builder().partNumber(part)
                    .eTag(s3.uploadPart(b -> b.bucket(bucket).key("big").uploadId(id).partNumber(part),
                            RequestBody.fromBytes(body)).eTag()).build()));
        }
        List<CompletedPart> completed = new ArrayList<>();
        for (java.util.concurrent.Future<CompletedPart> each : sent) {
            completed.add(each.get());
        }
        threads.shutdown();
        s3.completeMultipartUpload(b -> b.bucket(bucket).key("big").uploadId(id)
                .multipartUpload(m -> m.parts(completed)));
        did(Arrays.equals(big, s3.getObjectAsBytes(b -> b.bucket(bucket).key("big")).asByteArray()), "parts");
    }

    private void copyInParts(S3Client s3) {
        String id = s3.createMultipartUpload(b -> b.bucket(bucket).key("copied")).uploadId();
        List<CompletedPart> completed = new ArrayList<>();
        for (int start = 1, number = 1; start < big.length; start += PART, number += 1) {
            int part = number;
            String range = "bytes=" + start + "-" + (Math.min(big.length, start + PART) - 1);
            completed.add(CompletedPart.builder().partNumber(part).eTag(s3.uploadPartCopy(
                    b -> b.sourceBucket(bucket).sourceKey("big").copySourceRange(range).destinationBucket(bucket)
                            .destinationKey("copied").uploadId(id).partNumber(part)).copyPartResult().eTag()).build());
        }
        s3.completeMultipartUpload(b -> b.bucket(bucket).key("copied").uploadId(id)
                .multipartUpload(m -> m.parts(completed)));
        byte[] copied = s3.getObjectAsBytes(b -> b.bucket(bucket).key("copied")).asByteArray();
        did(Arrays.equals(copied, Arrays.copyOfRange(big, 1, big.length)), "copy in parts");
    }

    private String sizes(S3Client s3) {
        return s3.listObjectsV2(b -> b.bucket(bucket)).contents().stream()
                .map(each -> each.key() + " " + each.size()).collect(Collectors.joining(", "));
    }

    private static void complete(List<?> failed) {
        if (!failed.isEmpty()) {
            throw new AssertionError(failed.toString());
        }
    }

    /** moto answers an expected "100 Continue" twice, and the client takes the second for the answer. */
    private static final class NoExpect implements ExecutionInterceptor {
        @Override
        public SdkHttpRequest modifyHttpRequest(Context.ModifyHttpRequest context, ExecutionAttributes attributes) {
            return context.httpRequest().toBuilder().removeHeader("Expect").build();
        }
    }

    private void transfer(boolean moto) throws Exception {
        List<ExecutionInterceptor> before = moto ? List.of(new NoExpect()) : List.of();
        S3AsyncClient s3 = S3AsyncClient.builder().multipartEnabled(true)
                .overrideConfiguration(o -> o.executionInterceptors(before))
                .multipartConfiguration(b -> b.minimumPartSizeInBytes((long) PART).thresholdInBytes((long) PART)).build();
        S3TransferManager manager = S3TransferManager.builder().s3Client(s3).build();
        Path up = Files.createDirectories(folder.resolve("up"));
        Files.write(up.resolve("big"), big);
        Files.writeString(up.resolve("small"), "0123456789");
        manager.uploadFile(b -> b.source(up.resolve("small")).putObjectRequest(p -> p.bucket(bucket).key("small")))
                .completionFuture().join();
        did(true, "put");
        complete(manager.uploadDirectory(b -> b.source(up).bucket(bucket).s3Prefix("set")).completionFuture().join()
                .failedTransfers());
        did(true, "parts");
        Path down = folder.resolve("down");
        complete(manager.downloadDirectory(b -> b.destination(down).bucket(bucket)
                .listObjectsV2RequestTransformer(l -> l.prefix("set/"))).completionFuture().join().failedTransfers());
        did(Arrays.equals(big, Files.readAllBytes(down.resolve("big"))), "list", "get");
        ExecutorService threads = Executors.newCachedThreadPool();
        manager.upload(b -> b.putObjectRequest(p -> p.bucket(bucket).key("streamed")).requestBody(
                AsyncRequestBody.fromInputStream(s -> s.inputStream(new ByteArrayInputStream(big)).executor(threads))))
                .completionFuture().join();
        threads.shutdown();
        did(Arrays.equals(big, manager.download(software.amazon.awssdk.transfer.s3.model.DownloadRequest.builder()
                .getObjectRequest(g -> g.bucket(bucket).key("streamed"))
                .responseTransformer(AsyncResponseTransformer.<GetObjectResponse>toBytes()).build())
                .completionFuture().join().result().asByteArray()), "stream");
        manager.copy(b -> b.copyObjectRequest(c -> c.sourceBucket(bucket).sourceKey("small").destinationBucket(bucket)
                .destinationKey("copy"))).completionFuture().join();
        did(true, "copy");
        manager.copy(b -> b.copyObjectRequest(c -> c.sourceBucket(bucket).sourceKey("set/big").destinationBucket(bucket)
                .destinationKey("copied"))).completionFuture().join();
        Path copied = folder.resolve("copied");
        manager.downloadFile(b -> b.destination(copied).getObjectRequest(g -> g.bucket(bucket).key("copied")))
                .completionFuture().join();
        did(Arrays.equals(big, Files.readAllBytes(copied)), "copy in parts");
    }
}
