// Tries to run a command, by itself and through a shell, and says what came of it; with an argument says that alone.
import java.io.IOException;

public class Kinds {
    public static void main(String[] args) throws IOException {
        if (args.length > 0) {
            System.out.println(args[0]);
            return;
        }
        System.out.println("begun");
        System.out.println(output("/bin/echo", "run"));
        System.out.println("via sh: " + output("/bin/sh", "-c", "echo run"));
    }

    private static String output(String... command) throws IOException {
        try {
            return new String(new ProcessBuilder(command).start().getInputStream().readAllBytes()).trim();
        } catch (IOException e) {
            return "none";
        }
    }
}
