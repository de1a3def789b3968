import java.util.Arrays;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocatedFileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RemoteIterator;

/** Hadoop's S3A, which Spark, Hive and Flink use. Prints each operation that worked. */
final class Main {
    private Main() {}

    private static void did(boolean worked, String... operations) {
        if (!worked) {
            throw new AssertionError(String.join(", ", operations));
        }
        System.out.println(String.join("\n", operations));
    }

    public static void main(String[] arguments) throws Exception {
        byte[] big = new byte[Integer.parseInt(arguments[1])];
        new java.util.Random(1).nextBytes(big);
        Configuration settings = new Configuration();
        settings.set("fs.s3a.endpoint", System.getenv("AWS_ENDPOINT_URL_S3"));
        settings.set("fs.s3a.endpoint.region", "us-east-1");
        settings.set("fs.s3a.path.style.access", "true");
        settings.set("fs.s3a.multipart.size", "5M");
        settings.set("fs.s3a.multipart.threshold", "5M");
        settings.set("fs.s3a.buffer.dir", arguments[2]);
        // moto answers an expected "100 Continue" twice, and the second is taken for the answer.
        settings.set("fs.s3a.connection.expect.continue", String.valueOf(!arguments[3].equals("moto-plain")));
        Path root = new Path("s3a://" + arguments[0] + "/");
        FileSystem files = FileSystem.get(root.toUri(), settings);

        Path small = new Path(root, "set/small");
        try (FSDataOutputStream out = files.create(small)) {
            out.write("0123456789".getBytes());
        }
        did(files.getFileStatus(small).getLen() == 10, "put");
        Path large = new Path(root, "set/big");
        try (FSDataOutputStream out = files.create(large)) {
            for (int start = 0; start < big.length; start += 1 << 20) {
                out.write(big, start, Math.min(1 << 20, big.length - start));
            }
        }
        did(Arrays.equals(big, read(files, large)), "parts", "stream", "get");
        try (FSDataInputStream in = files.open(large)) {
            byte[] piece = new byte[1000];
            in.readFully(big.length - 1000, piece);
            boolean end = Arrays.equals(piece, Arrays.copyOfRange(big, big.length - 1000, big.length));
            in.readFully(500, piece);
            did(end && Arrays.equals(piece, Arrays.copyOfRange(big, 500, 1500)), "range");
        }
        StringBuilder listed = new StringBuilder();
        RemoteIterator<LocatedFileStatus> each = files.listFiles(root, true);
        while (each.hasNext()) {
            FileStatus status = each.next();
            listed.append(status.getPath().getName()).append(' ').append(status.getLen()).append(' ');
        }
        did(listed.toString().equals("big " + big.length + " small 10 "), "list");
        Path moved = new Path(root, "moved");
        did(files.rename(new Path(root, "set"), moved), "move", "copy");
        did(Arrays.equals(big, read(files, new Path(moved, "big"))), "copy in parts");
        did(files.delete(new Path(moved, "small"), false) && !files.exists(new Path(moved, "small")), "delete");
        files.close();
        System.exit(0);
    }

    private static byte[] read(FileSystem files, Path path) throws Exception {
        byte[] found = new byte[(int) files.getFileStatus(path).getLen()];
        try (FSDataInputStream in = files.open(path)) {
            in.readFully(0, found);
            if (in.read(found.length, new byte[1], 0, 1) != -1) {
                throw new AssertionError("longer than its status says");
            }
        }
        return found;
    }
}
