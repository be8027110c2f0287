plugins {
    alias(libs.plugins.android.library)
}

android {
    namespace = "io.chordkit.bouncycastle"
    compileSdk = libs.versions.compileSdk.get().toInt()
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
}

dependencies {
    api(project(":chord-android"))
    implementation(libs.bouncycastle)
    compileOnly(libs.jsr305)
}
