plugins {
    alias(libs.plugins.android.library)
    `maven-publish`
}

android {
    namespace = "io.chordkit.bouncycastle"
    compileSdk { version = release(libs.versions.compileSdk.get().toInt()) }
    enableKotlin = false
    defaultConfig {
        minSdk = libs.versions.minSdk.get().toInt()
        consumerProguardFiles("consumer-rules.pro")
    }
    sourceSets["main"].java.directories += "java"
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    publishing {
        singleVariant("release") { withSourcesJar() }
    }
}

dependencies {
    api(project(":chord-android"))
    implementation(libs.bouncycastle)
    compileOnly(libs.jsr305)
}
