package java.lang.invoke;

/** With its package: what javac asks for when it meets a lambda, so that the build can say which class has it. dx cannot translate lambdas. */
public final class LambdaMetafactory {
  public static native CallSite metafactory(
      MethodHandles.Lookup caller, String name, MethodType type, MethodType erased, MethodHandle method, MethodType dynamic);
}
