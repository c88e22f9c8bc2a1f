// Answers each line with its words in order. Its client is the channel that inetd's services inherit;
// without one, as from a terminal, it is standard input and output.
import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.channels.Channel;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

public class Sorter {
    public static void main(String[] args) throws IOException {
        Channel inherited = System.inheritedChannel();
        if (inherited instanceof SocketChannel) {
            SocketChannel client = (SocketChannel) inherited;
            client.configureBlocking(true);
            serve(new BufferedReader(Channels.newReader(client, StandardCharsets.UTF_8)),
                new PrintWriter(Channels.newWriter(client, StandardCharsets.UTF_8), true));
            client.close();
        } else {
            serve(new BufferedReader(new java.io.InputStreamReader(System.in, StandardCharsets.UTF_8)), new PrintWriter(System.out, true));
        }
    }

    private static void serve(BufferedReader in, PrintWriter out) throws IOException {
        for (String line; (line = in.readLine()) != null; ) {
            String[] words = line.trim().split("\\s+");
            Arrays.sort(words);
            out.print(String.join(" ", words) + "\n");
            out.flush();
        }
    }
}
