using System.Globalization;
using MicroVm.Kvm;
using Xunit;

namespace MicroVm.Tests.Host;

/// <summary>The state of a tap is its own, whatever it and others are called meanwhile.</summary>
public sealed class TapTests
{
    [TapFact]
    public void A_tap_that_was_renamed_is_asked_by_its_new_name()
    {
        using Interface tap = new("tap");
        using HostTap end = HostTap.Open(tap.Name, queues: 1)[0];
        Assert.Equal(Libc.EIO, end.State());
        tap.Set("up");
        Assert.Equal(0, end.State());
        for (int round = 0; round < 2; round++)
        {
            tap.Set("down");
            Assert.Equal(Libc.EIO, end.State());
            tap.Rename();
            Assert.Equal(Libc.EIO, end.State());
            tap.Set("up");
            Assert.Equal(0, end.State());
        }
    }

    [TapFact]
    public void Another_interface_that_gets_the_old_name_does_not_take_the_link_down()
    {
        using Interface tap = new("tap");
        string old = tap.Name;
        using HostTap end = HostTap.Open(old, queues: 1)[0];
        tap.Rename();
        tap.Set("up");
        using Interface other = new("tap", old);
        Assert.Equal(0, end.State());
        tap.Set("down");
        other.Set("up");
        Assert.Equal(Libc.EIO, end.State());
        tap.Remove();
        Assert.Equal(Libc.EBADFD, end.State());
    }

    internal sealed class Interface : IDisposable
    {
        private static int s_made;

        internal Interface(string mode, string? name = null)
        {
            Name = name ?? Next();
            if (HostAsked.Run(out _, "ip", "tuntap", "add", Name, "mode", mode) != 0)
                throw new IOException("no tap can be made");
        }

        internal string Name { get; private set; }

        internal void Set(string state) => Assert.Equal(0, HostAsked.Run(out _, "ip", "link", "set", Name, state));

        internal void Rename()
        {
            string name = Next();
            Set("down");
            Assert.Equal(0, HostAsked.Run(out _, "ip", "link", "set", Name, "name", name));
            Name = name;
        }

        internal void Remove()
        {
            if (Name.Length == 0) return;
            Assert.Equal(0, HostAsked.Run(out _, "ip", "link", "delete", Name));
            Name = "";
        }

        public void Dispose() => Remove();

        private static string Next() => string.Create(
            CultureInfo.InvariantCulture, $"mvt{Environment.ProcessId % 100000}x{Interlocked.Increment(ref s_made)}");
    }
}

/// <summary>A test that makes taps; skipped, with the reason, where this user cannot.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class TapFactAttribute : FactAttribute
{
    private static readonly Lazy<string?> s_whyNot =
        new(static () => HostAsked.WhyNot(static _ => new TapTests.Interface("tap")));

    public TapFactAttribute() =>
        Skip = s_whyNot.Value is { } why ? $"{why}: run as root, with iproute2 and the driver tun" : null;
}
