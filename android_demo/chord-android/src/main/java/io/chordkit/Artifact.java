package io.chordkit;

import io.chordkit.annotation.Nullable;

/** What a bundle's manifest says of one runnable file in it. */
public final class Artifact {
  private final String name;
  private final String target;
  private final String precision;
  private final String activations;
  private final int candidates;
  @Nullable private final String strategy;
  private final boolean userVector;
  @Nullable private final String runtime;
  private final String layout;
  private final String reference;
  @Nullable final Parity parity;
  final String member;

  Artifact(Json entry) throws BundleException {
    name = entry.text("name");
    target = entry.text("target");
    precision = entry.text("precision");
    activations = entry.text("activations");
    candidates = (int) Math.min(entry.count("candidates"), Integer.MAX_VALUE);
    strategy = entry.textOrNull("strategy");
    userVector = entry.flag("user_vector", false);
    runtime = entry.textOrNull("runtime");
    String other = entry.textOrNull("layout");
    layout = other == null ? "size" : other;
    reference = entry.text("reference");
    member = entry.text("member");
    Json measured = entry.objectOrNull("parity");
    parity = measured == null ? null : new Parity(measured);
  }

  /** By what it is asked for; unique in its bundle. */
  public String name() {
    return name;
  }

  /** Whose runtime runs it: native, litert, executorch, onnx, ... */
  public String target() {
    return target;
  }

  /** Of its weights: fp32, int8 or strategy. */
  public String precision() {
    return precision;
  }

  /** What its quantised layers compute with: fp32 or int8. */
  public String activations() {
    return activations;
  }

  /** How many candidates it scores in a call; the native engine takes any number. */
  public int candidates() {
    return candidates;
  }

  /** The strategy that it was made with, or null. */
  @Nullable
  public String strategy() {
    return strategy;
  }

  /** Whether a user vector is an input of it. */
  public boolean userVector() {
    return userVector;
  }

  /** The older runtime that it was made for, by its name in {@code chordkit export --runtime}, or null. */
  @Nullable
  public String runtime() {
    return runtime;
  }

  /** How its codes lie in the file: size, each at its width, or speed, a byte each. */
  public String layout() {
    return layout;
  }

  /** Which scores of the test vectors it must give. */
  public String reference() {
    return reference;
  }

  boolean isNative() {
    return target.equals("native");
  }
}
