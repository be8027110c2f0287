plugins {
    alias(libs.plugins.android.library)
    `maven-publish`
}

android {
    namespace = "io.chordkit"
    compileSdk { version = release(libs.versions.compileSdk.get().toInt()) }
    ndkVersion = libs.versions.ndk.get()
    enableKotlin = false

    defaultConfig {
        minSdk = libs.versions.minSdk.get().toInt()
        consumerProguardFiles("consumer-rules.pro")
        ndk { abiFilters += listOf("arm64-v8a", "x86_64") }
    }
    externalNativeBuild {
        cmake {
            path = file("src/main/cpp/CMakeLists.txt")
            version = libs.versions.cmake.get()
        }
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    publishing {
        singleVariant("release") { withSourcesJar() }
    }
    testOptions.unitTests.all { test ->
        // The tests need the native library for this machine, and what the Python engine answers: -Pchord.test.folder=FOLDER
        // -Pjava.library.path=FOLDER. `python -m pytest tests/android` makes both and runs the same tests without Gradle.
        for (name in listOf("chord.test.folder", "java.library.path")) {
            test.systemProperty(name, providers.gradleProperty(name).getOrElse(""))
        }
        val given = providers.gradleProperty("chord.test.folder").isPresent
        test.onlyIf("chord.test.folder is given") { given }
    }
}

dependencies {
    compileOnly(libs.jsr305)
    testImplementation(libs.junit)
    testImplementation(libs.android.json)
    testImplementation(project(":chord-android-bouncycastle"))
}
