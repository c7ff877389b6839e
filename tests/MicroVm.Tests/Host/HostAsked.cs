using System.Diagnostics;
using System.Globalization;
using Xunit;

namespace MicroVm.Tests.Host;

/// <summary>A test that mounts a file system; skipped, with the reason, where this user cannot.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class MountFactAttribute : FactAttribute
{
    public MountFactAttribute(string type) =>
        Skip = HostAsked.WhyNot(folder => new Mounted(type, folder)) is { } why ? $"{why}: run as root" : null;
}

/// <summary>A test that makes an ext4; skipped, with the reason, where this user cannot.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class Ext4FactAttribute : FactAttribute
{
    private static readonly Lazy<string?> s_whyNot = new(static () =>
        HostAsked.WhyNot(static folder => new Mounted("ext4", folder, "loop", Mounted.Ext4(folder))));

    public Ext4FactAttribute() =>
        Skip = s_whyNot.Value is { } why ? $"{why}: run as root, with the driver loop and e2fsprogs" : null;
}

/// <summary>A test that needs a loop device and ramfs; skipped, with the reason, where there is none for this
/// user.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class LoopFactAttribute : FactAttribute
{
    private static readonly Lazy<string?> s_whyNot = new(static () =>
        HostAsked.WhyNot(static folder => new Mounted("ramfs", folder)) ?? HostAsked.WhyNot(MakeLoop));

    public LoopFactAttribute() => Skip = s_whyNot.Value is { } why ? $"{why}: run as root, with the driver loop" : null;

    private static Loop MakeLoop(string folder)
    {
        File.WriteAllBytes($"{folder}/image", new byte[1 << 20]);
        return new Loop($"{folder}/image");
    }
}

/// <summary>A file system that is mounted until this is disposed.</summary>
internal sealed class Mounted : IDisposable
{
    internal Mounted(string type, string folder, string options = "rw", string? device = null)
    {
        Path = Directory.CreateDirectory($"{folder}/{type}").FullName;
        if (HostAsked.Run(out _, "mount", "-t", type, "-o", options, device ?? type, Path) != 0)
            throw new IOException($"{type} cannot be mounted");
    }

    internal string Path { get; }

    /// <summary>Makes an image of an ext4 of 64 MiB.</summary>
    internal static string Ext4(string folder)
    {
        string image = $"{folder}/ext4.img";
        using (FileStream file = File.Create(image)) file.SetLength(64 << 20);
        return HostAsked.Run(out _, "mkfs.ext4", "-q", image) == 0 ? image : throw new IOException("mkfs.ext4 failed");
    }

    public void Dispose() => Assert.Equal(0, HostAsked.Run(out _, "umount", Path));
}

/// <summary>A loop device on an image until this is disposed.</summary>
internal sealed class Loop : IDisposable
{
    internal Loop(string image)
    {
        if (HostAsked.Run(out string device, "losetup", "--find", "--show", image) != 0)
            throw new IOException("no loop device");
        Device = device;
    }

    internal string Device { get; }

    internal uint Queue(string name)
    {
        string text = File.ReadAllText($"/sys/block/{Path.GetFileName(Device)}/queue/{name}");
        return uint.Parse(text, CultureInfo.InvariantCulture);
    }

    public void Dispose() => Assert.Equal(0, HostAsked.Run(out _, "losetup", "--detach", Device));
}

/// <summary>Tries what a test needs of the host.</summary>
internal static class HostAsked
{
    internal static string? WhyNot(Func<string, IDisposable> take)
    {
        string folder = Directory.CreateTempSubdirectory("microvm-ask-").FullName;
        try
        {
            take(folder).Dispose();
            return null;
        }
        catch (Exception e) when (e is IOException or System.ComponentModel.Win32Exception)
        {
            return e.Message;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Runs a program; answers its exit code and what it said on standard output.</summary>
    internal static int Run(out string said, string program, params string[] arguments)
    {
        ProcessStartInfo start = new(program, arguments)
        {
            RedirectStandardError = true, RedirectStandardOutput = true,
        };
        using Process process = Process.Start(start)!;
        said = process.StandardOutput.ReadToEnd().Trim();
        process.WaitForExit();
        return process.ExitCode;
    }
}
