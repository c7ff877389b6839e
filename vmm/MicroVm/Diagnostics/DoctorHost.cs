using System.Text;
using MicroVm.Kvm;

namespace MicroVm.Diagnostics;

/// <summary>A host as the probes see it: files below a root, and KVM. Tests give a folder with the files of another host.</summary>
internal sealed class DoctorHost : IDisposable
{
    private readonly string _root;
    private readonly KvmSystem? _kvm;

    private DoctorHost(string root, KvmSystem? kvm, MicroVmException? failure)
    {
        _root = root;
        _kvm = kvm;
        KvmFailure = failure;
    }

    /// <summary>This host.</summary>
    internal static DoctorHost This()
    {
        try
        {
            return new DoctorHost("", KvmSystem.Open(), null);
        }
        catch (MicroVmException e)
        {
            return new DoctorHost("", null, e);
        }
    }

    /// <summary>A host made of files, without KVM.</summary>
    internal static DoctorHost Fake(string root) => new(root, null, MicroVmException.Host("cannot use KVM", KvmSystem.DevicePath, "Use a real host"));

    /// <summary>Why KVM cannot be opened, or null.</summary>
    internal MicroVmException? KvmFailure { get; }

    /// <summary>Version of KVM's interface, 0 without KVM.</summary>
    internal int KvmApiVersion => _kvm?.ApiVersion ?? 0;

    /// <summary>Value of a capability, 0 if it or KVM is not there.</summary>
    internal int Capability(int number) => Math.Max(0, _kvm?.Capability(number) ?? 0);

    /// <summary>True if a file or folder is there.</summary>
    internal bool Exists(string path) => Path.Exists(_root + path);

    /// <summary>True if a module is loaded or built in with parameters.</summary>
    internal bool HasModule(string name) => Exists("/sys/module/" + name);

    /// <summary>A file's text, or null if it cannot be read.</summary>
    internal string? Text(string path)
    {
        using HostFile? file = HostFile.TryOpen(_root + path, Libc.O_RDONLY, out _);
        if (file is null) return null;
        // Files of the kernel say that they are empty: read until nothing comes.
        using MemoryStream all = new();
        byte[] piece = new byte[4096];
        long count;
        while ((count = file.Read(piece, (ulong)all.Length)) > 0) all.Write(piece, 0, (int)count);
        return count < 0 && all.Length == 0 ? null : Encoding.UTF8.GetString(all.GetBuffer(), 0, (int)all.Length);
    }

    /// <summary>A file's first line, or null.</summary>
    internal string? Line(string path) => Text(path)?.Split('\n')[0].Trim();

    /// <summary>The word in brackets of a file such as <c>always [madvise] never</c>, or null.</summary>
    internal string? Choice(string path)
    {
        string? line = Line(path);
        int open = line?.IndexOf('[', StringComparison.Ordinal) ?? -1, close = line?.IndexOf(']', StringComparison.Ordinal) ?? -1;
        return open >= 0 && close > open ? line![(open + 1)..close] : null;
    }

    /// <summary>What follows <paramref name="key"/> in the first line that begins with it, without colon and blanks; null if no line begins so.</summary>
    internal string? Field(string path, string key)
    {
        foreach (string line in (Text(path) ?? "").Split('\n'))
        {
            if (line.StartsWith(key, StringComparison.Ordinal)) return line[key.Length..].TrimStart(':', ' ', '\t').Trim();
        }
        return null;
    }

    /// <summary>A number at the beginning of <see cref="Field"/>, or null.</summary>
    internal long? Number(string path, string key) => long.TryParse(Field(path, key)?.Split(' ')[0], out long n) ? n : null;

    /// <summary>Path of a program in PATH, or where distributions keep those that people do not start by hand; null if
    /// it is in neither.</summary>
    internal string? FindProgram(string name)
    {
        string[] folders = [.. (Environment.GetEnvironmentVariable("PATH") ?? "")
            .Split(':', StringSplitOptions.RemoveEmptyEntries), "/usr/libexec", "/usr/lib/qemu"];
        return Array.Find(Array.ConvertAll(folders, folder => $"{folder}/{name}"), path => File.Exists(_root + path));
    }

    /// <summary>How many entries a folder has; 0 if it is not there.</summary>
    internal int CountEntries(string path) => Directory.Exists(_root + path) ? Directory.GetFileSystemEntries(_root + path).Length : 0;

    public void Dispose() => _kvm?.Dispose();
}
