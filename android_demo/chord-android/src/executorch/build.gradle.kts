plugins {
    alias(libs.plugins.android.library)
    `maven-publish`
}

android {
    namespace = "io.chordkit.executorch"
    compileSdk { version = release(libs.versions.compileSdk.get().toInt()) }
    enableKotlin = false
    defaultConfig { minSdk = libs.versions.minSdk.get().toInt() }
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
    implementation(libs.executorch)
    compileOnly(libs.jsr305)
}
