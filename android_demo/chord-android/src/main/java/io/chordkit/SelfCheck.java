package io.chordkit;

import io.chordkit.annotation.Nullable;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * Does this phone compute what the bundle's maker computed? Scores the bundle's test vectors here and holds them against their references.
 *
 * <p>The references are computed in float32, and the native engine computes with 8-bit activations, so the two differ by an amount that the
 * maker measured and signed. What is right, for each reference:
 *
 * <ul>
 *   <li>the artifact's tolerance of the manifest holds, as {@code chordkit validate} has it: root mean square and largest error, relative to
 *       the spread of the reference's scores, and overlap of the ten best;
 *   <li>of the native engine, neither error is more than twice what the maker measured over a thousand histories that these are taken from.
 *       Its bits are the same on every CPU, so no larger ones are expected; twice leaves room for an engine of another version;
 *   <li>the scores are not nearer to another reference of the bundle than to this one, and nearer than the two are to each other: a strategy
 *       taken for another shows even where both are within the tolerance. By chance it would take an error that points more than halfway
 *       (cosine above 0.5) from the one reference to the other, in as many dimensions as the model has.
 * </ul>
 *
 * <p>It finds another master, another strategy, a shifted history, a kernel that computes wrongly. It cannot find an error that is smaller
 * than what 8-bit activations do anyway: a laboratory that has the engine's arithmetic in numpy can ({@code chordkit validate}), a phone
 * has only the references that travel.
 */
public final class SelfCheck {
  private static final String INT8 = "int8";
  private static final String FP32 = "fp32";

  private final List<Result> results;

  private SelfCheck(List<Result> results) {
    this.results = Collections.unmodifiableList(results);
  }

  /**
   * The native engine: one that is opened for this and closed again, over every reference that it can be held against.
   *
   * @throws ChordException the engine refuses the master, a strategy or a row; which is a failed check as well
   */
  public static SelfCheck of(Bundle bundle) throws ChordException {
    TestVectors vectors = bundle.testVectors();
    List<Result> results = new ArrayList<Result>();
    for (String reference : vectors.references()) {
      if (!reference.equals(FP32) || bundle.strategies().contains(FP32)) { // the floats that the master was made from are no engine's
        results.add(ofEngine(bundle, vectors, reference));
      }
    }
    return new SelfCheck(results);
  }

  /**
   * An artifact on another runtime.
   *
   * @param scorer what loaded {@link Bundle#artifact}; of an artifact that takes a user vector it has to be told each row's by the caller,
   *     so that such ones are refused here
   */
  public static SelfCheck of(Bundle bundle, String artifact, Scorer scorer) throws ChordException {
    Artifact about = bundle.about(artifact);
    if (about.userVector()) {
      throw new IllegalArgumentException("artifact " + artifact + " takes a user vector, which a Scorer cannot be given");
    }
    Comparison measured = new Comparison(bundle.testVectors(), about.reference());
    for (int row = 0; row < measured.rows(); row++) {
      measured.score(row, scorer);
    }
    return new SelfCheck(Collections.singletonList(measured.judged(about.parity, about.isNative())));
  }

  private static Result ofEngine(Bundle bundle, TestVectors vectors, String reference) throws ChordException {
    Comparison measured = new Comparison(vectors, reference);
    TestUsers users = new TestUsers(bundle);
    Engine engine = bundle.engine();
    try {
      if (!reference.equals(INT8) || bundle.strategies().contains(INT8)) {
        engine.adopt(bundle.strategy(reference));
      }
      for (int row = 0; row < measured.rows(); row++) {
        users.adopt(engine, vectors, row);
        measured.score(row, engine);
      }
    } finally {
      engine.close();
    }
    return measured.judged(nativeParity(bundle, reference), true);
  }

  @Nullable
  private static Parity nativeParity(Bundle bundle, String reference) throws BundleException {
    for (String name : bundle.artifacts()) {
      Artifact artifact = bundle.about(name);
      if (artifact.isNative() && artifact.reference().equals(reference)) {
        return artifact.parity;
      }
    }
    return null;
  }

  /** One for each reference. */
  public List<Result> results() {
    return results;
  }

  /** Whether something was compared, and all of it is right. */
  public boolean passed() {
    return failure().isEmpty();
  }

  /**
   * This, if it passed.
   *
   * @throws Failed it did not; the sentence has every reason
   */
  public SelfCheck require() throws Failed {
    if (!passed()) {
      throw new Failed(failure());
    }
    return this;
  }

  private String failure() {
    if (results.isEmpty()) {
      return "the bundle has no scores that the native engine can be held against; make it with native artifacts";
    }
    StringBuilder all = new StringBuilder();
    for (Result result : results) {
      for (String reason : result.reasons()) {
        all.append(all.length() == 0 ? "this device does not compute what the bundle's maker computed: " : "; ");
        all.append(result.reference()).append(": ").append(reason);
      }
    }
    return all.toString();
  }

  /** The scores of this device are not those of the bundle. */
  public static final class Failed extends ChordException {
    private static final long serialVersionUID = 1;

    Failed(String sentence) {
      super(sentence);
    }
  }

  /** One reference: what was measured, and why it is not right. */
  public static final class Result {
    private final String reference;
    private final int histories;
    private final double maxAbsError;
    private final double relativeRmsError;
    private final double topOverlap;
    private final List<String> reasons;

    Result(String reference, int histories, double maxAbsError, double relativeRmsError, double topOverlap, List<String> reasons) {
      this.reference = reference;
      this.histories = histories;
      this.maxAbsError = maxAbsError;
      this.relativeRmsError = relativeRmsError;
      this.topOverlap = topOverlap;
      this.reasons = Collections.unmodifiableList(reasons);
    }

    /** Name of the reference: int8, or a strategy's. */
    public String reference() {
      return reference;
    }

    /** How many were compared. */
    public int histories() {
      return histories;
    }

    /** Of a score, in the model's own unit. */
    public double maxAbsError() {
      return maxAbsError;
    }

    /** Root mean square of the errors over that of the reference's scores around their history's mean. */
    public double relativeRmsError() {
      return relativeRmsError;
    }

    /** Mean share of the reference's ten best that are among the ten best here. */
    public double topOverlap() {
      return topOverlap;
    }

    /** One sentence for each thing that is wrong; empty = right. */
    public List<String> reasons() {
      return reasons;
    }
  }
}
