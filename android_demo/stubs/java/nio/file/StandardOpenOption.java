package java.nio.file;

/** API 26. */
public enum StandardOpenOption implements OpenOption {
  READ
}
