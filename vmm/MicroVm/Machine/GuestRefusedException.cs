using MicroVm.Hotplug;

namespace MicroVm;

/// <summary>The guest did not do what it was asked while it ran: it refused, or it has not answered in time.</summary>
public sealed class GuestRefusedException : MicroVmException
{
    private GuestRefusedException(string what, string where, string remedy, uint? status) : base(FailureKind.Host, what, where, remedy) => Status = status;

    /// <summary>What it said by <c>_OST</c> (ACPI 6.5, 6.3.5); null if it said nothing.</summary>
    public uint? Status { get; }

    internal static GuestRefusedException Refused(string thing, bool insertion, uint outcome) => new(
        $"the guest {(insertion ? "did not take it in" : "did not give it back")}", $"{thing}: {GuestAnswer.Text(insertion, outcome)} (status 0x{outcome:x})",
        insertion ? "It has been taken out again; see the guest's log" : "It stays; see the guest's log", outcome);

    internal static GuestRefusedException Silent(string thing, bool insertion, TimeSpan limit) => new(
        "the guest has not answered", $"{thing}: {Text(limit)} s", insertion
            ? "It stays plugged in, and a guest that starts finds it: see whether the guest runs and knows ACPI hot-plug"
            : "It stays until the guest gives it back: see whether the guest runs and knows ACPI hot-plug", null);

    private static string Text(TimeSpan limit)
    {
        long tenths = limit.Ticks / (TimeSpan.TicksPerSecond / 10);
        return tenths % 10 == 0 ? $"{tenths / 10}" : $"{tenths / 10}.{tenths % 10}";
    }
}
