package java.nio.file;

/** API 26. */
public interface Path {}
