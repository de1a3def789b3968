import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.Map;

/** Answers one JSON request a line on standard input with one JSON answer a line on standard output. */
abstract class Peer {
    static final ObjectMapper JSON = new ObjectMapper();

    abstract byte[] get(Request request, Map<String, String> metadata) throws Exception;

    abstract void put(Request request) throws Exception;

    abstract void putMultipart(Request request) throws Exception;

    abstract void reencrypt(Request request) throws Exception;

    abstract void delete(Request request) throws Exception;

    final void serve() throws Exception {
        PrintStream answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        String line;
        while ((line = requests.readLine()) != null) {
            Request request = new Request(JSON.readTree(line));
            ObjectNode answer = JSON.createObjectNode();
            answer.set("id", request.node.get("id"));
            try {
                handle(request, answer);
                answer.put("ok", true);
            } catch (Throwable failure) {
                answer.put("ok", false);
                answer.put("error", describe(failure));
            }
            answers.println(JSON.writeValueAsString(answer));
        }
    }

    private void handle(Request request, ObjectNode answer) throws Exception {
        switch (request.text("op")) {
            case "put" -> put(request);
            case "put_multipart" -> putMultipart(request);
            case "reencrypt" -> reencrypt(request);
            case "delete" -> delete(request);
            case "get" -> {
                Map<String, String> metadata = new java.util.TreeMap<>();
                byte[] body = get(request, metadata);
                answer.put("size", body.length);
                answer.put("sha256", HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(body)));
                answer.set("metadata", JSON.valueToTree(metadata));
            }
            default -> throw new IllegalArgumentException("unknown op " + request.text("op"));
        }
    }

    private static String describe(Throwable failure) {
        StringBuilder text = new StringBuilder();
        for (Throwable at = failure; at != null && text.length() < 600; at = at.getCause()) {
            text.append(text.length() == 0 ? "" : " <- ").append(at.getClass().getSimpleName()).append(": ");
            text.append(at.getMessage());
        }
        return text.toString();
    }

    /** True when clients hold leaked connections: Java 3 and 4 leak one per instruction file they read. */
    static final class Turnover {
        private int left = 10;

        boolean due() {
            left -= 1;
            if (left > 0) {
                return false;
            }
            left = 10;
            return true;
        }
    }

    static Map<String, String> map(JsonNode node) {
        Map<String, String> result = new java.util.LinkedHashMap<>();
        if (node != null && !node.isNull()) {
            node.fields().forEachRemaining(entry -> result.put(entry.getKey(), entry.getValue().asText()));
        }
        return result;
    }
}
