import java.util.Base64

plugins {
    alias(libs.plugins.android.application)
}

/** The app's assets: the bundle, the public keys it may be signed with as 32 bytes each, and the people whom it shows. */
abstract class BundleAssets : DefaultTask() {
    @get:InputFiles
    @get:PathSensitive(PathSensitivity.NONE)
    abstract val bundle: ConfigurableFileCollection

    @get:InputFiles
    @get:PathSensitive(PathSensitivity.NONE)
    abstract val keys: ConfigurableFileCollection

    @get:InputFiles
    @get:PathSensitive(PathSensitivity.NONE)
    abstract val people: ConfigurableFileCollection

    @get:OutputDirectory
    abstract val assets: DirectoryProperty

    @TaskAction
    fun write() {
        val folder = assets.get().asFile
        val chord = bundle.singleFile
        if (!chord.isFile) {
            throw GradleException("$chord: no such bundle; run `make demo`, or give one: -PchordBundle=FILE -PchordKeys=FILE.pub.pem")
        }
        chord.copyTo(folder.resolve("bundle.chord"), overwrite = true)
        folder.resolve("trusted_keys").writeBytes(keys.files.map(::rawKey).reduce(ByteArray::plus))
        val shown = people.singleFile
        if (shown.isFile) shown.copyTo(folder.resolve("demo_users.json"), overwrite = true)
    }

    /** The last 32 bytes of an Ed25519 key's SubjectPublicKeyInfo (RFC 8410) are the key. */
    private fun rawKey(pem: File): ByteArray {
        val text = pem.readLines().filterNot { it.startsWith("-----") }.joinToString("")
        val encoded = Base64.getDecoder().decode(text)
        if (encoded.size != 44) throw GradleException("$pem: is no public Ed25519 key as `chordkit bundle key` writes it")
        return encoded.copyOfRange(12, 44)
    }
}

val chordBundle = providers.gradleProperty("chordBundle").getOrElse("../../build/demo/demo.chord")
val chordKeys = providers.gradleProperty("chordKeys").getOrElse("../../build/demo/demo.pub.pem").split(",")

val bundleAssets = tasks.register<BundleAssets>("bundleAssets") {
    bundle.from(chordBundle)
    keys.from(chordKeys)
    people.from(file(chordBundle).resolveSibling("demo_users.json"))
}

android {
    namespace = "io.chordkit.demo"
    compileSdk { version = release(libs.versions.compileSdk.get().toInt()) }
    enableKotlin = false

    defaultConfig {
        applicationId = "io.chordkit.demo"
        minSdk = libs.versions.minSdk.get().toInt()
        targetSdk = libs.versions.targetSdk.get().toInt()
        versionName = version.toString()
        val (major, minor, patch) = version.toString().split(".").map { part -> part.takeWhile(Char::isDigit).toInt() }
        versionCode = major * 10_000 + minor * 100 + patch
    }
    buildTypes {
        release {
            isMinifyEnabled = true
            isShrinkResources = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"))
        }
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    // A phone maps the bundle where it lies in the APK.
    androidResources { noCompress += listOf("chord", "trusted_keys") }
    testOptions.unitTests.all { test ->
        val folder = providers.gradleProperty("chord.test.folder")
        test.systemProperty("chord.test.folder", folder.getOrElse(""))
        test.systemProperty("java.library.path", providers.gradleProperty("java.library.path").getOrElse(""))
        val given = folder.isPresent
        test.onlyIf("chord.test.folder is given") { given }
    }
}

androidComponents.onVariants { variant ->
    variant.sources.assets?.addGeneratedSourceDirectory(bundleAssets, BundleAssets::assets)
}

dependencies {
    implementation(project(":chord-android"))
    implementation(project(":chord-android-bouncycastle"))
    compileOnly(libs.jsr305)
    testImplementation(libs.junit)
    testImplementation(libs.android.json)
}
